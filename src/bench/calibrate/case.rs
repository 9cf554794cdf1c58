//! The cases of `mqbench self`: which packets, over how many connections, from how many threads.

use std::ffi::OsString;
use std::net::SocketAddr;

use crate::bench::plan::{BenchPlan, Target, bench_plan};
use crate::mqtt::QoS;
use crate::options::{BENCH, BenchOptions, Environment, Reading, UsageError};
use crate::terminal::number::counted;

/// Publishers that send one kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) qos: QoS,
    /// Payload bytes.
    pub(super) size: usize,
    pub(super) connections: usize,
    pub(super) threads: usize,
}

/// The number of connections with which one thread is compared with all.
pub(super) const MANY: usize = 100;

/// The cases in the order of the table. Cases with all threads follow those with one thread, if there are several.
pub(super) fn cases(full: bool, threads: usize) -> Vec<Case> {
    let of = |qos, sizes: &[usize], connections: &[usize], threads| {
        let mut cases = Vec::new();
        for &connections in connections {
            cases.extend(sizes.iter().map(|&size| Case { qos, size, connections, threads }));
        }
        cases
    };
    let mut all = Vec::new();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let sizes = [16, 64, 256, 1024];
        if full {
            for threads in [1].into_iter().chain((threads > 1).then_some(threads)) {
                all.extend(of(qos, &sizes, &[1, 10, 100, 1000], threads));
            }
            continue;
        }
        match qos {
            QoS::ExactlyOnce => all.extend(of(qos, &[16], &[10], 1)),
            _ => {
                all.extend(of(qos, &[16], &[1], 1));
                all.extend(of(qos, &[16, 256, 1024], &[10], 1));
                all.extend(of(qos, &[16], &[MANY], 1));
                if threads > 1 {
                    all.extend(of(qos, &[16], &[MANY], threads));
                }
            }
        }
    }
    all
}

impl Case {
    /// The plan of the engine for this case: an ordinary plan from a command line with these further options.
    ///
    /// # Errors
    /// Options that are not allowed.
    pub(super) fn plan(&self, sink: SocketAddr, options: &[&str]) -> Result<BenchPlan, UsageError> {
        let (port, qos) = (sink.port().to_string(), self.qos.number().to_string());
        let host = sink.ip().to_string();
        let [size, connections, threads] = [self.size, self.connections, self.threads].map(|number| number.to_string());
        let typed = [
            BENCH.name,
            "pub",
            "-h",
            &host,
            "-p",
            &port,
            "-q",
            &qos,
            "--size",
            &size,
            "--pubs",
            &connections,
            "--threads",
            &threads,
        ];
        let argv = typed.iter().chain(options).map(OsString::from);
        // Without options files and variables, so that every machine measures the same.
        let environment = Environment::fixed([], []);
        match BenchOptions::read(&environment, argv)? {
            Reading::Options(options) => bench_plan(&options, &environment, &Target::AsTyped),
            Reading::Answer(text) => Err(UsageError::new(BENCH.name, vec![text])),
        }
    }

    /// One line of text.
    pub(super) fn text(&self) -> String {
        format!(
            "QoS {}, {} B, {}, {}",
            self.qos.number(),
            self.size,
            counted(self.connections as u64, "connection", "connections"),
            counted(self.threads as u64, "thread", "threads")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_an_ordinary_plan() {
        let case = Case { qos: QoS::AtLeastOnce, size: 256, connections: 10, threads: 2 };
        let plan = case.plan(([127, 0, 0, 1], 4711).into(), &["--flood", "-C", "100"]).unwrap();
        assert_eq!((plan.publishers, plan.subscribers, plan.threads, plan.window), (10, 0, 2, 100));
        assert_eq!((plan.payload.is_stamped(), plan.qos), (true, QoS::AtLeastOnce));
    }

    #[test]
    fn all_threads_stand_behind_one_thread() {
        for full in [false, true] {
            assert!(cases(full, 1).iter().all(|case| case.threads == 1));
            let cases = cases(full, 4);
            for case in cases.iter().filter(|case| case.threads > 1) {
                assert!(cases.contains(&Case { threads: 1, ..*case }), "{case:?}");
            }
        }
    }
}
