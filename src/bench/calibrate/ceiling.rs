//! The generator's measured ceiling on this machine, kept in a small file between runs, so that a result can report how
//! near it came to it. A file that is unreadable or invalid is ignored: no run fails because of it.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::CaseFigures;
use crate::bench::plan::BenchPlan;
use crate::bench::system::EnvironmentFacts;
use crate::options::Environment;
use crate::transport::Address;

/// The largest file that is read.
const LIMIT: u64 = 1 << 20;

/// Most machines in a file; several may share a home directory.
const MACHINES: usize = 32;

/// For payloads this many times larger than the largest measured one no ceiling is known.
const LARGER: u64 = 4;

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Saved {
    machines: Vec<MachineCeilings>,
}

/// The ceilings of one machine with one build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct MachineCeilings {
    #[serde(flatten)]
    key: Key,
    ceilings: Vec<Ceiling>,
}

/// Identifies machine and build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    host: Option<String>,
    cpu_model: Option<String>,
    version: String,
}

/// Messages per second of one case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Ceiling {
    qos: u8,
    size_bytes: u64,
    connections: u64,
    threads: u64,
    per_s: f64,
}

impl Key {
    fn of(facts: &EnvironmentFacts) -> Self {
        // Without optimization the ceiling is another one.
        let profile = if cfg!(debug_assertions) { " debug" } else { "" };
        let version = format!("{}{profile}", env!("CARGO_PKG_VERSION"));
        Self { host: facts.host.clone(), cpu_model: facts.cpu_model.clone(), version }
    }
}

/// The ceilings of this machine; empty where none were measured.
#[derive(Clone, Debug, Default)]
pub(in crate::bench) struct Ceilings(Vec<Ceiling>);

impl Ceilings {
    /// Reads them from the file, if there is one.
    pub(in crate::bench) fn load(environment: &Environment) -> Self {
        Self::of(&path(environment).map(|path| read(&path)).unwrap_or_default(), &Key::of(&EnvironmentFacts::read()))
    }

    fn of(saved: &Saved, key: &Key) -> Self {
        let machine = saved.machines.iter().find(|machine| machine.key == *key);
        Self(machine.map(|machine| machine.ceilings.clone()).unwrap_or_default())
    }

    /// The most messages per second that a generator can send with this plan, by the most similar case. None for what
    /// was not measured: receiving, TLS, WebSocket, proxies, Unix sockets, large payloads, runs without latencies.
    pub(in crate::bench) fn of_plan(&self, plan: &BenchPlan) -> Option<f64> {
        if plan.publishers != plan.clients() {
            return None;
        }
        // More threads than cores add nothing.
        let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        self.of_sending(plan, plan.publishers as u64, plan.threads.min(cores) as u64)
    }

    /// The same for the publishers of any plan, on a machine of this many cores: what they send, and nothing of what
    /// receiving costs.
    pub(in crate::bench) fn of_sending(&self, plan: &BenchPlan, publishers: u64, cores: u64) -> Option<f64> {
        let transport = &plan.transport;
        let is_plain = transport.tls.is_none() && transport.web_socket.is_none() && transport.proxy.is_none();
        if plan.publishers == 0 || !is_plain || matches!(transport.address, Address::Unix(_)) || !plan.latency {
            return None;
        }
        let size = plan.payload.bytes(0, "", "").len() as u64;
        self.nearest(plan.qos.number(), size, publishers, cores)
    }

    /// Those of a document that `mqbench self` wrote, on whatever machine.
    pub(super) fn of_cases(cases: &[CaseFigures]) -> Self {
        Self(ceilings(cases))
    }

    /// Whether there are none.
    pub(in crate::bench) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn nearest(&self, qos: u8, size: u64, connections: u64, threads: u64) -> Option<f64> {
        let largest = self.0.iter().map(|ceiling| ceiling.size_bytes).max()?;
        if size > LARGER * largest {
            return None;
        }
        let octaves = |one: u64, other: u64| ((one.max(1) as f64).log2() - (other.max(1) as f64).log2()).abs();
        let distance = |ceiling: &&Ceiling| {
            // Sizes above the largest measured one count as that. The number of threads counts least, because threads
            // do not affect each other.
            octaves(ceiling.size_bytes, size)
                + octaves(ceiling.connections, connections) / 4.0
                + octaves(ceiling.threads, threads) / 16.0
        };
        let like = self.0.iter().filter(|ceiling| ceiling.qos == qos && ceiling.threads > 0 && ceiling.per_s > 0.0);
        let nearest = like.min_by(|one, other| distance(one).total_cmp(&distance(other)))?;
        Some(nearest.per_s / nearest.threads as f64 * threads as f64)
    }
}

/// Replaces the saved ceilings of this machine. Returns the path; none where the user has no cache directory.
///
/// # Errors
/// Those of the file system.
pub(super) fn save(
    environment: &Environment,
    facts: &EnvironmentFacts,
    cases: &[CaseFigures],
) -> io::Result<Option<PathBuf>> {
    let Some(path) = path(environment) else { return Ok(None) };
    let saved = with(read(&path), MachineCeilings { key: Key::of(facts), ceilings: ceilings(cases) });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A concurrent reader sees the old file or the new one.
    let beside = path.with_extension(format!("json.{}", environment.process_id()));
    fs::write(&beside, serde_json::to_vec_pretty(&saved)?)
        .and_then(|()| fs::rename(&beside, &path))
        .inspect_err(|_| drop(fs::remove_file(&beside)))?;
    Ok(Some(path))
}

fn ceilings(cases: &[CaseFigures]) -> Vec<Ceiling> {
    let ceiling = |case: &CaseFigures| {
        let per_s = case.ceiling_per_s?;
        let CaseFigures { qos, size_bytes, connections, threads, .. } = *case;
        Some(Ceiling { qos, size_bytes, connections, threads, per_s })
    };
    cases.iter().filter_map(ceiling).collect()
}

fn with(mut saved: Saved, machine: MachineCeilings) -> Saved {
    saved.machines.retain(|other| other.key != machine.key);
    saved.machines.insert(0, machine);
    saved.machines.truncate(MACHINES);
    saved
}

fn path(environment: &Environment) -> Option<PathBuf> {
    Some(environment.cache_folder()?.join("mqtools").join("self.json"))
}

fn read(path: &Path) -> Saved {
    let read = || {
        let mut text = Vec::new();
        fs::File::open(path).ok()?.take(LIMIT).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str) -> Key {
        Key { host: Some(host.to_owned()), cpu_model: None, version: "1".to_owned() }
    }

    fn ceiling(qos: u8, size_bytes: u64, connections: u64, threads: u64, per_s: f64) -> Ceiling {
        Ceiling { qos, size_bytes, connections, threads, per_s }
    }

    #[test]
    fn the_most_similar_case_is_taken() {
        let ceilings = Ceilings(vec![
            ceiling(0, 16, 10, 1, 40e6),
            ceiling(1, 16, 1, 1, 4e6),
            ceiling(1, 16, 100, 1, 10e6),
            ceiling(1, 1024, 10, 1, 2e6),
        ]);
        assert_eq!(ceilings.nearest(1, 20, 80, 1), Some(10e6));
        assert_eq!(ceilings.nearest(1, 20, 80, 3), Some(30e6), "a ceiling per thread");
        assert_eq!(ceilings.nearest(1, 2048, 1, 1), Some(2e6));
        assert_eq!(ceilings.nearest(0, 16, 1, 1), Some(40e6));
        assert_eq!(ceilings.nearest(2, 16, 1, 1), None, "QoS 2 was not measured");
        assert_eq!(ceilings.nearest(1, 100_000, 1, 1), None, "nothing like it was measured");
        assert_eq!(Ceilings::default().nearest(0, 16, 1, 1), None);
    }

    #[test]
    fn machines_are_kept_apart() {
        let machine =
            |host: &str, per_s| MachineCeilings { key: key(host), ceilings: vec![ceiling(0, 16, 1, 1, per_s)] };
        let saved = with(with(with(Saved::default(), machine("a", 1.0)), machine("b", 2.0)), machine("a", 3.0));
        let text = serde_json::to_string(&saved).unwrap();
        let saved: Saved = serde_json::from_str(&text).unwrap();
        let of = |host: &str| Ceilings::of(&saved, &key(host)).nearest(0, 16, 1, 1);
        assert_eq!((of("a"), of("b"), of("c")), (Some(3.0), Some(2.0), None));
        let many = (0..100).fold(saved, |saved, number| with(saved, machine(&number.to_string(), 1.0)));
        assert_eq!(many.machines.len(), MACHINES);
    }

    #[test]
    fn garbage_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("self.json");
        assert_eq!(read(&path), Saved::default());
        for garbage in [&b"\xff\xfe{"[..], b"[]", b"{\"machines\":[{}]}", b"", b"{\"machines\":7}"] {
            fs::write(&path, garbage).unwrap();
            assert_eq!(read(&path), Saved::default(), "{garbage:?}");
        }
        assert_eq!(read(folder.path()), Saved::default(), "a folder");
    }
}
