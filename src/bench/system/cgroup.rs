//! CPU quotas of control groups (Linux, both versions): how much CPU time this process may use, and how often it was
//! stopped because its quota was used up. Every group from the process's own up to the visible root may have one.

use std::path::{Path, PathBuf};

/// The groups of this process that may have a CPU quota, the innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuGroups(Vec<Group>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    version: Version,
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A limit on CPU time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quota {
    /// Processors' worth of time.
    pub cores: f64,
    /// The file that lifts it when `lifted_by` is written into it.
    pub file: PathBuf,
    /// See `file`.
    pub lifted_by: &'static str,
}

/// How often a group was stopped because its quota was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which the group wanted to run.
    pub periods: u64,
    /// Of these, those in which it was stopped.
    pub throttled: u64,
    /// How long it was stopped, all processors together, nanoseconds.
    pub throttled_ns: u64,
}

impl CpuGroups {
    /// Those of this process; none where there are no control groups.
    pub(crate) fn of_this_process() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
    }

    /// From `/proc/self/cgroup`, which names the groups, and `/proc/self/mountinfo`, which locates them.
    fn parse(cgroup: &str, mountinfo: &str) -> Self {
        let mut groups = Vec::new();
        for (controllers, path) in cgroup.lines().filter_map(|line| line.split_once(':')?.1.split_once(':')) {
            let version = match controllers {
                "" => Version::Two,
                _ if has_cpu(controllers) => Version::One,
                _ => continue,
            };
            let Some((root, mount)) = mountinfo.lines().find_map(|line| mount_of(line, version)) else { continue };
            // In a container the path may be that of the host, and only the mounted part of it is there.
            let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            let below = if path.contains("..") { Path::new("") } else { below };
            groups.extend(below.ancestors().map(|part| Group { version, directory: mount.join(part) }));
        }
        Self(groups)
    }

    /// The smallest of the quotas; none where nothing limits.
    pub(crate) fn quota(&self) -> Option<Quota> {
        self.quota_in(|path| std::fs::read_to_string(path).ok())
    }

    fn quota_in(&self, read: impl Fn(&Path) -> Option<String>) -> Option<Quota> {
        let quotas = self.0.iter().filter_map(|group| {
            let file = |name: &str| group.directory.join(name);
            let (cores, file, lifted_by) = match group.version {
                Version::Two => (quota_of_two(&read(&file("cpu.max"))?)?, file("cpu.max"), "max"),
                Version::One => {
                    let number = |name: &str| read(&file(name))?.trim().parse::<f64>().ok();
                    let (quota, period) = (number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?);
                    ((quota > 0.0 && period > 0.0).then(|| quota / period)?, file("cpu.cfs_quota_us"), "-1")
                }
            };
            Some(Quota { cores, file, lifted_by })
        });
        quotas.min_by(|one, other| one.cores.total_cmp(&other.cores))
    }

    /// How often each of the groups was stopped until now, in their order.
    pub(crate) fn throttling(&self) -> Vec<Throttling> {
        let read = |group: &Group| std::fs::read_to_string(group.directory.join("cpu.stat")).unwrap_or_default();
        self.0.iter().map(|group| Throttling::parse(&read(group))).collect()
    }
}

impl Throttling {
    /// Reads `cpu.stat`; what is not in it did not happen.
    fn parse(stat: &str) -> Self {
        let value = |name: &str| {
            let mut fields = stat.lines().filter_map(|line| line.split_once(' '));
            fields.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse::<u64>().ok())
        };
        Self {
            periods: value("nr_periods").unwrap_or(0),
            throttled: value("nr_throttled").unwrap_or(0),
            // Nanoseconds in version 1, microseconds in version 2.
            throttled_ns: value("throttled_time")
                .or_else(|| value("throttled_usec").map(|time| time.saturating_mul(1_000)))
                .unwrap_or(0),
        }
    }

    /// What has happened between two readings, of the group that was stopped longest.
    pub fn between(earlier: &[Self], later: &[Self]) -> Self {
        let grown = earlier.iter().zip(later).map(|(earlier, later)| Self {
            periods: later.periods.saturating_sub(earlier.periods),
            throttled: later.throttled.saturating_sub(earlier.throttled),
            throttled_ns: later.throttled_ns.saturating_sub(earlier.throttled_ns),
        });
        grown.max_by_key(|grown| (grown.throttled_ns, grown.throttled, grown.periods)).unwrap_or_default()
    }
}

fn has_cpu(controllers: &str) -> bool {
    controllers.split(',').any(|controller| controller == "cpu")
}

/// Root and place of a mount of control groups, where a line of `mountinfo` is one: `ID PARENT DEV ROOT PLACE OPTIONS …
/// - TYPE SOURCE SUPER-OPTIONS`.
fn mount_of(line: &str, version: Version) -> Option<(&Path, &Path)> {
    let (mount, system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, place) = (mount.next()?, mount.next()?);
    let mut system = system.split(' ');
    let is_it = match (version, system.next()?) {
        (Version::Two, "cgroup2") => true,
        (Version::One, "cgroup") => has_cpu(system.nth(1)?),
        _ => false,
    };
    is_it.then(|| (Path::new(root), Path::new(place)))
}

/// `QUOTA PERIOD` of `cpu.max`, or `max PERIOD`.
fn quota_of_two(text: &str) -> Option<f64> {
    let mut fields = text.split_whitespace();
    let (quota, period) = (fields.next()?.parse::<f64>().ok()?, fields.next()?.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT_TWO: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNT_ONE: &str = "30 29 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                             31 29 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n";

    fn directories(cgroup: &str, mountinfo: &str) -> Vec<String> {
        let groups = CpuGroups::parse(cgroup, mountinfo);
        groups.0.iter().map(|group| group.directory.display().to_string().trim_end_matches('/').to_owned()).collect()
    }

    /// The quota where these files are there.
    fn quota(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Option<(f64, String)> {
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        let quota = CpuGroups::parse(cgroup, mountinfo).quota_in(read)?;
        Some((quota.cores, quota.file.display().to_string()))
    }

    #[test]
    fn every_group_up_to_the_root_counts() {
        let nested = "0::/user.slice/user-1000.slice/job.scope\n";
        let up = ["/user.slice/user-1000.slice/job.scope", "/user.slice/user-1000.slice", "/user.slice", ""];
        assert_eq!(directories(nested, MOUNT_TWO), up.map(|part| format!("/sys/fs/cgroup{part}")));
        let outer = [
            ("/sys/fs/cgroup/user.slice/user-1000.slice/job.scope/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/user.slice/cpu.max", "400000 100000\n"),
        ];
        let found = quota(nested, MOUNT_TWO, &outer);
        assert_eq!(found, Some((1.5, "/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max".to_owned())));
    }

    #[test]
    fn version_1_has_other_files() {
        let cgroup = "12:cpuset:/\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
        let below = ["/docker/abc", "/docker", ""].map(|part| format!("/sys/fs/cgroup/cpu,cpuacct{part}"));
        assert_eq!(directories(cgroup, MOUNT_ONE), below);
        // The part of the host that a container sees.
        let mounted = MOUNT_ONE.replace("0:28 / ", "0:28 /docker/abc ");
        assert_eq!(directories(cgroup, &mounted), ["/sys/fs/cgroup/cpu,cpuacct"]);
        assert_eq!(directories("4:cpu,cpuacct:/other\n", &mounted), ["/sys/fs/cgroup/cpu,cpuacct"]);
        let file = |name: &str| format!("/sys/fs/cgroup/cpu,cpuacct/docker/abc/{name}");
        let (quota_file, period_file) = (file("cpu.cfs_quota_us"), file("cpu.cfs_period_us"));
        let with = |text| quota(cgroup, MOUNT_ONE, &[(&quota_file, text), (&period_file, "50000\n")]);
        assert_eq!(with("25000\n"), Some((0.5, quota_file.clone())));
        assert_eq!((with("-1\n"), with("")), (None, None), "no quota");
    }

    #[test]
    fn both_versions_side_by_side() {
        let mounts = format!("{MOUNT_ONE}{}", MOUNT_TWO.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "));
        let both = directories("4:cpu,cpuacct:/\n0::/a\n", &mounts);
        assert_eq!(both, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified/a", "/sys/fs/cgroup/unified"]);
    }

    #[test]
    fn without_control_groups_nothing_limits() {
        for (cgroup, mountinfo) in [("", ""), ("0::/\n", ""), ("", MOUNT_TWO), ("garbage\n1:cpu\n", "garbage - x\n")] {
            assert_eq!(CpuGroups::parse(cgroup, mountinfo), CpuGroups::default(), "{cgroup} {mountinfo}");
        }
        assert_eq!(directories("0::/../outside\n", MOUNT_TWO), ["/sys/fs/cgroup"], "what is outside cannot be seen");
        for text in ["max 100000", "", "100000", "0 100000", "100000 0", "x y"] {
            assert_eq!(quota_of_two(text), None, "{text}");
        }
    }

    #[test]
    fn throttling_is_that_of_the_group_that_was_stopped_longest() {
        let one = Throttling::parse("nr_periods 40\nnr_throttled 30\nthrottled_time 1200000000\nnr_bursts 0\n");
        let two = "usage_usec 12\nuser_usec 5\nnr_periods 40\nnr_throttled 30\nthrottled_usec 1200000\n";
        assert_eq!(one, Throttling { periods: 40, throttled: 30, throttled_ns: 1_200_000_000 });
        assert_eq!(Throttling::parse(two), one);
        assert_eq!(Throttling::parse("usage_usec 12\n"), Throttling::default());
        let idle = Throttling { periods: 100, ..Throttling::default() };
        let later = [idle, Throttling { periods: 50, throttled: 34, throttled_ns: 1_200_000_005 }];
        let grown = Throttling::between(&[Throttling::default(), one], &later);
        assert_eq!(grown, Throttling { periods: 10, throttled: 4, throttled_ns: 5 });
        assert_eq!(Throttling::between(&[], &[]), Throttling::default());
    }
}
