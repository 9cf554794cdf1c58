//! One thread of the load: it owns its connections, buffers and recorder, and runs them on its own runtime.

mod client_task;
mod command_loop;
mod drive;
mod hold;
mod idler;
#[cfg(feature = "rumqttc")]
mod library;
mod messages;
mod read;
mod reconnect;
mod role;
mod state;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::task::LocalSet;

use self::client_task::ClientTask;
use self::command_loop::{ShardClients, command_loop, disconnect_all, start_pacer};
use self::hold::run_hold_shard;
#[cfg(feature = "rumqttc")]
use self::library::run_library_shard;
pub(crate) use self::messages::TargetShare;
pub(super) use self::messages::{Command, Report, Settled};
use self::state::ShardState;
use super::connect_all::{PendingConnects, ReadyClients, abort_all, build_clients, connect_all};
use super::shared::Shared;
#[cfg(feature = "rumqttc")]
use crate::options::ClientName;
use crate::transport::TlsClient;

/// Enough to disconnect; a broker that hangs does not hold up the end.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts a shard on its own thread; the first argument is its number.
pub(super) fn on_thread(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    let main = move || run_thread(shard, shared, tls, commands, reports);
    std::thread::Builder::new().name(format!("load-{shard}")).spawn(main).map(Some)
}

/// Starts a shard as a local task.
#[cfg(test)]
pub(super) fn in_place(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    tokio::task::spawn_local(async move {
        let _end = EndReport(reports.clone());
        run_shard(shard, shared, tls, commands, reports).await;
    });
    Ok(None)
}

/// The main function of a shard's thread.
fn run_thread(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) {
    // Also where the thread panics: nobody must wait for it.
    let _end = EndReport(reports.clone());
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Err(error) => drop(reports.send(Report::NoRuntime(error))),
        Ok(runtime) => {
            let local = LocalSet::new();
            local.block_on(&runtime, run_shard(shard, shared, tls, commands, reports));
            drop(local);
            // A name look-up that hangs must not keep the program from ending.
            runtime.shutdown_background();
        }
    }
}

/// Reports the end of a shard, also where it panics.
pub(super) struct EndReport(pub(super) UnboundedSender<Report>);

impl Drop for EndReport {
    fn drop(&mut self) {
        let _ = self.0.send(Report::Ended);
    }
}

/// Runs a shard to its end, on a runtime with local tasks.
async fn run_shard(
    shard: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    mut commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) {
    if shared.plan.idlers > 0 {
        return run_hold_shard(ShardState::new(shard, shared, tls, reports), commands).await;
    }
    #[cfg(feature = "rumqttc")]
    if shared.plan.client == ClientName::Rumqttc {
        return run_library_shard(ShardState::new(shard, shared, tls, reports), commands).await;
    }
    let on_connect = || {
        let _ = reports.send(Report::Connected { target: 0 });
    };
    let (mut connected, mut pending) = (Vec::new(), PendingConnects::new());
    let outcome = tokio::select! {
        outcome = connect_all(shard, &shared, tls.as_ref(), on_connect, &mut connected, &mut pending) => Some(outcome),
        // Nothing but End is sent before Ready.
        _ = commands.recv() => None,
    };
    let ready = outcome.map(|outcome| outcome.and_then(|()| build_clients(&shared, &mut connected)));
    let ReadyClients { publishers, subscribers, responders, recorder } = match ready {
        Some(Ok(ready)) => ready,
        failed => {
            if let Some(Err((client, error))) = failed {
                let _ = reports.send(Report::Failed { client, error });
            }
            let abort = abort_all(&shared, tls.as_ref(), connected, pending);
            let _ = tokio::time::timeout(DISCONNECT_TIMEOUT, abort).await;
            return;
        }
    };
    let state = ShardState::new(shard, shared, tls, reports);
    state.report(Report::Ready(recorder));
    let mut clients = ShardClients::default();
    for (link, publisher) in publishers {
        let publisher = Rc::new(RefCell::new(publisher));
        clients.publishers.push(publisher.clone());
        ClientTask::spawn(&state, link, publisher);
    }
    for (link, subscriber) in subscribers {
        let subscriber = Rc::new(RefCell::new(subscriber));
        clients.subscribers.push(subscriber.clone());
        ClientTask::spawn(&state, link, subscriber);
    }
    for (link, responder) in responders {
        ClientTask::spawn(&state, link, Rc::new(RefCell::new(responder)));
    }
    let pacer = start_pacer(&state);
    command_loop(&state, &mut commands, &clients).await;
    pacer.abort();
    disconnect_all(&state, DISCONNECT_TIMEOUT).await;
}
