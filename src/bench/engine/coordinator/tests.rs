//! What no broker can bring about.

use std::ffi::OsString;

use super::*;
use crate::bench::engine::shard::Ended;
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
            let _ended = Ended(reports);
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
    let run = run_with(plan, None, std::future::pending(), |_| {}, panicking).await.unwrap();
    assert!(run.collapsed);
    let (cause, count) = run.lost.first_key_value().unwrap();
    assert!(cause.contains("ended by itself") && *count == 1, "{:?}", run.lost);
    assert!(run.stages[0].unbalanced > 0, "its part is missing");
}
