//! A board of files in a folder that all shards share: a local one, NFS, a volume of Kubernetes. A file is written under
//! another name and then renamed, so that nobody reads half of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::board::{Board, BoardClock, BoardServer, Event, Place, Post, event};
use super::clock::ClockOffset;
use super::messages::LARGEST;
use super::wall_ns;
use crate::options::ShardNumber;
use crate::transport::io_text;

/// How often the files are looked at.
const POLL: Duration = Duration::from_millis(20);

/// The time of a file may be that of the last tick of the system that keeps it.
const TICK_NS: u64 = 10_000_000;

/// Opens the board of a run.
pub(super) fn open(path: &Path, shard: ShardNumber, job: &str, watches_all: bool) -> Board {
    let digest = Sha256::digest(job.as_bytes());
    let key: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let files = Files { folder: path.join(format!("mqbench-shards-{key}")), shard };
    let clock = files.clock().ok();
    Board::serve(shard.index, BoardClock::Read(clock), |server| files.serve(server, watches_all))
}

struct Files {
    folder: PathBuf,
    shard: ShardNumber,
}

impl Files {
    fn path(&self, place: Place) -> Option<PathBuf> {
        match place {
            Place::Lead => Some(self.folder.join("start.json")),
            Place::Shard(index) => Some(self.folder.join(format!("shard-{index}.json"))),
            // Clocks are compared with that of the folder.
            Place::Question(_) | Place::Answer(_) => None,
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let draft = self.folder.join(format!(".{}.draft", self.shard.index));
        fs::write(&draft, bytes)?;
        fs::rename(&draft, path)
    }

    /// How far this machine's clock is from that of the folder, which dates a new file.
    fn clock(&self) -> io::Result<ClockOffset> {
        let path = self.folder.join(format!(".{}.clock", self.shard.index));
        let mut best = None;
        for _ in 0..5 {
            let asked_ns = wall_ns();
            self.write(&path, b"")?;
            let dated = fs::metadata(&path)?.modified()?;
            let answered_ns = wall_ns();
            let dated_ns = dated.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
            let echo = ClockOffset::of_echo(asked_ns, i64::try_from(dated_ns).unwrap_or(i64::MAX), answered_ns);
            best = Some(echo.better(best));
        }
        fs::remove_file(&path)?;
        let best = best.unwrap_or_default();
        // Nothing to correct: one machine, or clocks that agree as far as files can tell.
        if best.offset_ns.unsigned_abs() <= best.bound_ns + TICK_NS {
            return Ok(ClockOffset { offset_ns: 0, bound_ns: best.bound_ns + TICK_NS });
        }
        Ok(ClockOffset { bound_ns: best.bound_ns + TICK_NS, ..best })
    }

    async fn serve(self, mut server: BoardServer, mut watches_all: bool) {
        let mut known: BTreeMap<Place, Vec<u8>> = BTreeMap::new();
        let mut interval = tokio::time::interval(POLL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let failed =
            |what: &Path, error: &io::Error| Event::Failed(format!("--barrier {}: {}", what.display(), io_text(error)));
        loop {
            tokio::select! {
                post = server.posts.recv() => match post {
                    Some(Post::Put(place, bytes)) => {
                        let Some(path) = self.path(place) else { continue };
                        if let Err(error) = self.write(&path, &bytes) {
                            let _ = server.events.send(failed(&path, &error));
                        }
                    }
                    Some(Post::WatchAll) => watches_all = true,
                    Some(Post::Close(places)) => {
                        for path in places.into_iter().filter_map(|place| self.path(place)) {
                            let _ = fs::remove_file(path);
                        }
                        // The last one finds it empty.
                        let _ = fs::remove_dir(&self.folder);
                        return;
                    }
                    None => return,
                },
                _ = interval.tick() => {
                    let shards = (0..self.shard.count).filter(|_| watches_all).map(Place::Shard);
                    let places = std::iter::once(Place::Lead).chain(shards);
                    for place in places.filter(|place| *place != Place::Shard(self.shard.index)) {
                        let Some(path) = self.path(place) else { continue };
                        let found = match read(&path) {
                            Ok(found) => found,
                            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                                // Gone since: its shard has ended.
                                if known.remove(&place).is_some() && place != Place::Lead {
                                    let _ = event(place, &[]).map(|event| server.events.send(event));
                                }
                                continue;
                            }
                            Err(error) => {
                                let _ = server.events.send(failed(&path, &error));
                                return;
                            }
                        };
                        if known.get(&place) != Some(&found) {
                            let _ = event(place, &found).map(|event| server.events.send(event));
                            known.insert(place, found);
                        }
                    }
                }
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LARGEST as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
