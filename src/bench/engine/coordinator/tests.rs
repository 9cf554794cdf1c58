//! What no broker can cause.

use std::ffi::OsString;
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::*;
use crate::bench::engine::shard::{EndReport, Settled};
use crate::bench::plan::{Target, bench_plan};
use crate::options::{BenchOptions, Environment, Reading};

/// A thread that is ready, and panics as soon as it has something to do.
fn panicking(
    _: usize,
    _: Arc<Shared>,
    _: Option<TlsClient>,
    mut commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    std::thread::Builder::new()
        .spawn(move || {
            let _ = reports.send(Report::Ready(Box::default()));
            let _ended = EndReport(reports);
            let _ = commands.blocking_recv();
            panic!("on purpose");
        })
        .map(Some)
}

#[tokio::test]
async fn a_thread_that_panics_ends_the_run() {
    let argv = ["mqbench", "-h", "192.0.2.1", "-C", "1000", "--threads", "1", "--drain", "0s"].map(OsString::from);
    let environment = Environment::fixed([], []);
    let Ok(Reading::Options(options)) = BenchOptions::read(&environment, argv) else { panic!("no options") };
    let plan = bench_plan(&options, &environment, &Target::AsTyped).unwrap();
    let run = run_with(plan, None, std::future::pending(), |_| {}, (None, None), panicking).await.unwrap();
    assert!(run.collapsed);
    let (cause, count) = run.lost.first_key_value().unwrap();
    assert!(cause.contains("ended unexpectedly") && *count == 1, "{:?}", run.lost);
    assert!(run.stages[0].unbalanced > 0, "its part is missing");
}

/// The first thread panics, the other one has sent seven messages.
fn half_panicking(
    number: usize,
    shared: Arc<Shared>,
    tls: Option<TlsClient>,
    mut commands: UnboundedReceiver<Command>,
    reports: UnboundedSender<Report>,
) -> io::Result<Option<JoinHandle<()>>> {
    if number == 0 {
        return panicking(number, shared, tls, commands, reports);
    }
    let work = move || {
        let _ = reports.send(Report::Ready(Box::default()));
        let _ended = EndReport(reports.clone());
        while let Some(command) = commands.blocking_recv() {
            let report = match command {
                Command::Stop => Report::Stopped,
                Command::Missing => Report::Missing(0),
                Command::Settle => {
                    let mut settled = Box::<Settled>::default();
                    settled.recorder.counters.sent = 7;
                    Report::Settled(settled)
                }
                Command::End => return,
                Command::Begin(_) | Command::Second => continue,
            };
            let _ = reports.send(report);
        }
    };
    std::thread::Builder::new().spawn(work).map(Some)
}

#[tokio::test]
async fn the_account_of_the_other_threads_is_kept() {
    let argv = ["mqbench", "-h", "192.0.2.1", "-C", "1000", "--threads", "2", "--drain", "0s"].map(OsString::from);
    let environment = Environment::fixed([], []);
    let Ok(Reading::Options(options)) = BenchOptions::read(&environment, argv) else { panic!("no options") };
    let plan = bench_plan(&options, &environment, &Target::AsTyped).unwrap();
    let run = run_with(plan, None, std::future::pending(), |_| {}, (None, None), half_panicking).await.unwrap();
    assert_eq!((run.stages[0].recorder.counters.sent, run.stages[0].unbalanced), (7, 1));
}
