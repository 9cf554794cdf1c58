//! `mqbench conn`: a shard whose clients connect at their slots and are held. A failed connect is counted by its cause
//! and ends nothing.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use super::super::clock;
use super::super::connect::connect;
use super::super::connect_all::concurrent_connects;
use super::super::connect_error::classify;
use super::super::link::{BenchSession, Link};
use super::super::pacer::PreciseTimer;
use super::super::shared::Shared;
use super::client_task::ClientTask;
use super::command_loop::{ShardClients, command_loop, disconnect_all, start_pacer};
use super::idler::Idler;
use super::messages::{Command, Report};
use super::state::ShardState;
use crate::bench::measure::Recorder;
use crate::bench::plan::ClientKind;

/// When the first client connects, after t0: all threads are ready by then.
const FIRST_SLOT_NS: u64 = 10_000_000;

/// Clients that can disconnect per second, at least.
const DISCONNECTS_PER_S: usize = 5_000;

/// Runs a shard that connects and holds.
pub(super) async fn run_hold_shard(state: Rc<ShardState>, mut commands: UnboundedReceiver<Command>) {
    let pacer = start_pacer(&state);
    let connecting = tokio::task::spawn_local(connect_idlers(state.clone()));
    command_loop(&state, &mut commands, &ShardClients::default()).await;
    connecting.abort();
    pacer.abort();
    let clients = state.shared.plan.own_clients() / state.shared.plan.threads;
    disconnect_all(&state, Duration::from_secs(2 + (clients / DISCONNECTS_PER_S) as u64)).await;
}

/// When a client is due to connect, where the plan has a rate.
fn slot_ns(shared: &Shared, client: usize) -> Option<u64> {
    shared.plan.connect_rate.map(|rate| FIRST_SLOT_NS + (client as f64 / rate * 1e9) as u64)
}

async fn connect_idlers(state: Rc<ShardState>) {
    let plan = &state.shared.plan;
    let clock = state.shared.clock;
    let timer = PreciseTimer::new().ok();
    let most = concurrent_connects(plan);
    let mut tasks = JoinSet::new();
    for client in
        plan.own(ClientKind::Idler).filter(|client| plan.thread_of(ClientKind::Idler, *client) == state.number())
    {
        let slot_ns = slot_ns(&state.shared, client);
        if let Some(slot_ns) = slot_ns {
            let wait = Duration::from_nanos(slot_ns.saturating_sub(clock.now_ns()));
            let slept = match &timer {
                _ if wait.is_zero() => Ok(()),
                Some(timer) => timer.sleep(wait).await,
                None => Err(std::io::ErrorKind::Unsupported.into()),
            };
            if slept.is_err() {
                tokio::time::sleep(wait).await;
            }
        }
        let mut held_back = false;
        while tasks.len() >= most {
            held_back = slot_ns.is_some();
            let _ = tasks.join_next().await;
        }
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(connect_idler(state.clone(), client, slot_ns, held_back));
    }
    while tasks.join_next().await.is_some() {}
    state.report(Report::Ready(Box::default()));
}

/// Connects a client that is due and starts its task.
async fn connect_idler(state: Rc<ShardState>, client: usize, slot_ns: Option<u64>, held_back: bool) {
    let shared = &state.shared;
    let target = shared.plan.target_of(client);
    let started_ns = shared.clock.now_ns();
    let mut session = BenchSession::new(clock::now());
    let outcome = connect(shared, state.tls.as_ref(), client, &mut session, None).await;
    let mut recorder = state.recorder(target);
    let Recorder { counters, latency } = &mut **recorder;
    if held_back {
        counters.held_back += 1;
    } else if let Some(slot_ns) = slot_ns {
        latency.sched_lag.record_between(slot_ns, started_ns);
    }
    match outcome {
        Ok((connection, latencies)) => {
            counters.connects += 1;
            latency.connect.record_between(slot_ns.unwrap_or(started_ns), shared.clock.now_ns());
            latencies.record(&mut recorder);
            drop(recorder);
            ClientTask::spawn(&state, Link::new(connection, session, target), Idler::new(client));
            state.report(Report::Connected { target });
        }
        Err(error) => {
            counters.count_connect_failure(classify(&error));
            state.report(Report::Failed { client, error });
        }
    }
}
