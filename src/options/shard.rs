//! The group of mqbench about runs that are larger than one machine: which shard this process is, how the shards start
//! together, and what merging them takes.

use std::path::PathBuf;
use std::time::Duration;

use chrono::DateTime;
use clap::{Args, ValueHint};

use super::connection::{UrlText, url_text};
use super::environment::Environment;
use super::load::Verb;
use super::values::{positive_duration, whole_number};

/// Most shards of a run.
const MOST_SHARDS: usize = 100_000;

/// The variable with the number of shards, where an engine has none.
const COUNT_VARIABLE: &str = "MQBENCH_SHARDS";

/// The variable with the name of the run.
const JOB_VARIABLE: &str = "MQBENCH_JOB";

/// Shards.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shards")]
pub struct ShardOptions {
    /// Run only shard I of N, counted from 0; auto takes I and N from the variables of the engine.
    ///
    /// The shards of a run send together exactly what one process would send. auto knows Slurm, Open MPI, PMI (MPICH,
    /// Intel MPI), Kubernetes Indexed Jobs and GNU parallel. Kubernetes and GNU parallel have no variable for N: use
    /// auto/N, or set MQBENCH_SHARDS. All shards get the same options. In --out, %s is the number of the shard. Needs
    /// --rate, --rate-per-client or --flood.
    #[arg(long, value_name = "I/N", value_parser = ShardChoice::parse, value_hint = ValueHint::Other)]
    pub shard: Option<ShardChoice>,

    /// Name of the run, the same in all its shards and another one in each run [default: the engine's job].
    ///
    /// Client identifiers, default topics, the default of --seed and the topics of the barrier depend on it. Without
    /// it, it is the number of the Slurm job and step, else MQBENCH_JOB. Two runs of one plan at the same time must not
    /// have the same name.
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other, value_parser = job)]
    pub job: Option<String>,

    /// How shards wait for each other before the load: broker, a folder that all share, or none [default: broker].
    ///
    /// broker uses retained messages under mqbench-shards/ on the broker under test, or on that of --control; they are
    /// removed at the end. A folder is created if it is missing; write ./NAME for one that does not exist yet. none
    /// needs --start-at.
    #[arg(long, value_name = "HOW", value_parser = BarrierName::parse, value_hint = ValueHint::DirPath)]
    pub barrier: Option<BarrierName>,

    /// Use the broker at URL for the barrier, not the one under test.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = url_text())]
    pub control: Option<UrlText>,

    /// Wait at most TIME for the other shards, then report which are missing [default: 2m].
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub barrier_timeout: Option<Duration>,

    /// Start the load at this moment of the machine's clock: RFC 3339, or seconds since 1970.
    #[arg(long, value_name = "WHEN", value_parser = moment, value_hint = ValueHint::Other)]
    pub start_at: Option<Moment>,

    /// With merge: accept that shards are missing; the result is then partial.
    #[arg(long)]
    pub allow_partial: bool,
}

/// A moment, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub i64);

/// The value of `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardChoice {
    /// Both numbers as they were typed.
    Typed(ShardNumber),
    /// The number of the shard from the engine, and that of all shards where it was typed.
    Auto(Option<usize>),
}

/// Which of a run's shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardNumber {
    /// From 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

/// How shards wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BarrierName {
    /// Over retained messages.
    Broker,
    /// Over files in a folder.
    Folder(PathBuf),
    /// Not at all.
    None,
}

impl ShardChoice {
    fn parse(text: &str) -> Result<Self, String> {
        let form = "must be I/N with I from 0 to N-1, as in 0/4, or auto, or auto/N";
        let count = |text: &str| whole_number(text).filter(|count| (1..=MOST_SHARDS).contains(count));
        match text.split_once('/') {
            None if text == "auto" => Ok(Self::Auto(None)),
            Some(("auto", number)) => count(number).map(|number| Self::Auto(Some(number))).ok_or_else(|| form.into()),
            Some((index, number)) => match (whole_number(index), count(number)) {
                (Some(index), Some(count)) if index < count => Ok(Self::Typed(ShardNumber { index, count })),
                (Some(index), Some(count)) => {
                    Err(format!("{form}: the last of {count} shards is {}, and not {index}", count - 1))
                }
                _ => Err(form.into()),
            },
            None => Err(form.into()),
        }
    }
}

impl BarrierName {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "broker" => Ok(Self::Broker),
            "none" => Ok(Self::None),
            path if path.contains('/') || std::path::Path::new(path).is_dir() => Ok(Self::Folder(path.into())),
            _ => Err("must be broker, none, or a folder; write ./NAME for a folder that does not exist yet".into()),
        }
    }
}

fn job(text: &str) -> Result<String, String> {
    match text {
        "" => Err("must not be empty".into()),
        text if text.len() > 200 => Err("must have at most 200 bytes".into()),
        text => Ok(text.to_owned()),
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    let form = "must be a time as in 2026-01-31T12:00:00Z, or seconds since 1970";
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt().map(Moment).ok_or_else(|| form.into());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole_number(whole).filter(|_| !whole.is_empty()).ok_or(form)?;
    let digits = fraction.bytes().all(|digit| digit.is_ascii_digit()) && fraction.len() <= 9;
    let nanos: i64 = format!("{fraction:0<9}").parse().ok().filter(|_| digits).ok_or(form)?;
    seconds.checked_mul(1_000_000_000).and_then(|time| time.checked_add(nanos)).map(Moment).ok_or_else(|| form.into())
}

/// What one engine says.
struct Rank {
    engine: &'static str,
    index: usize,
    count: Option<usize>,
}

impl Rank {
    fn text(&self) -> String {
        let count = self.count.map_or_else(String::new, |count| format!(" of {count}"));
        format!("{} gives {}{count}", self.engine, self.index)
    }
}

/// The variables that engines set, read strictly.
struct Variables<'a> {
    environment: &'a Environment,
    faults: Vec<String>,
}

impl Variables<'_> {
    fn number(&mut self, name: &str) -> Option<usize> {
        let text = self.environment.variable(name)?.to_str().unwrap_or("?").to_owned();
        let number = whole_number(&text).filter(|_| !text.is_empty());
        if number.is_none() {
            self.faults
                .push(format!("--shard auto: {name} is '{}', which is no number", crate::terminal::quoted(&text)));
        }
        number
    }

    fn rank(&mut self, engine: &'static str, index: &str, counts: &[&str]) -> Option<Rank> {
        let index = self.number(index)?;
        let count = counts.iter().find_map(|name| self.number(name));
        Some(Rank { engine, index, count })
    }

    /// A task of a Slurm step (srun), or of an array.
    fn slurm(&mut self) -> Option<Rank> {
        let task = match self.environment.variable("SLURM_STEP_ID") {
            Some(_) => self.rank("SLURM_PROCID", "SLURM_PROCID", &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"]),
            // The batch script itself has a number too, which is always 0.
            None => None,
        };
        let task = task.filter(|task| task.count != Some(1));
        let array = self.number("SLURM_ARRAY_TASK_ID").map(|id| {
            let least = self.number("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
            let step = self.number("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
            let count = self.number("SLURM_ARRAY_TASK_COUNT");
            Rank { engine: "SLURM_ARRAY_TASK_ID", index: id.saturating_sub(least) / step, count }
        });
        if let (Some(task), Some(array)) = (&task, &array) {
            self.faults.push(format!(
                "--shard auto: this is a task of a step ({}) in a task of an array ({}): use one of them, or --shard I/N",
                task.text(),
                array.text()
            ));
        }
        task.or(array)
    }
}

impl ShardOptions {
    /// Which shard this process is, if it is one.
    pub(crate) fn number(&self, environment: &Environment, faults: &mut Vec<String>) -> Option<ShardNumber> {
        let typed_count = match self.shard? {
            ShardChoice::Typed(number) => return Some(number),
            ShardChoice::Auto(count) => count,
        };
        let mut variables = Variables { environment, faults: Vec::new() };
        // mpirun in a Slurm job is the inner one of two, and the one that started this process.
        let mpi = variables
            .rank("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_RANK", &["OMPI_COMM_WORLD_SIZE"])
            .or_else(|| variables.rank("PMI_RANK", "PMI_RANK", &["PMI_SIZE"]));
        let batch = mpi.or_else(|| variables.slurm()).or_else(|| variables.rank("PMIX_RANK", "PMIX_RANK", &[]));
        let kubernetes = variables.rank("JOB_COMPLETION_INDEX", "JOB_COMPLETION_INDEX", &[]);
        let parallel = variables.rank("PARALLEL_SEQ", "PARALLEL_SEQ", &[]).and_then(|rank| match rank.index {
            0 => {
                variables.faults.push("--shard auto: PARALLEL_SEQ is 0, but GNU parallel counts from 1".into());
                None
            }
            place => Some(Rank { index: place - 1, ..rank }),
        });
        let ranks: Vec<Rank> = [batch, kubernetes, parallel].into_iter().flatten().collect();
        let general = variables.number(COUNT_VARIABLE);
        faults.append(&mut variables.faults);
        if !faults.is_empty() {
            return None;
        }
        let found = match &ranks[..] {
            [] => {
                let hint = if environment.variable("SLURM_JOB_ID").is_some() {
                    "this is the batch script of a Slurm job and no task of it: start mqbench with srun"
                } else {
                    "no variable of Slurm, Open MPI, PMI, Kubernetes or GNU parallel is set: use --shard I/N"
                };
                Err(hint.to_owned())
            }
            [rank] => combine(rank, typed_count, general),
            [one, other, ..] if one.index == other.index => combine(one, typed_count.or(other.count), general),
            [one, other, ..] => Err(format!(
                "two engines started this process and disagree: {}, and {}: use --shard I/N",
                one.text(),
                other.text()
            )),
        };
        found.map_err(|fault| faults.push(format!("--shard auto: {fault}"))).ok()
    }

    /// The name of the run.
    pub(crate) fn job_name(&self, environment: &Environment) -> String {
        let text = |name: &str| environment.variable(name).map(|value| value.to_string_lossy().into_owned());
        let slurm = || {
            let job = text("SLURM_ARRAY_JOB_ID").or_else(|| text("SLURM_JOB_ID"))?;
            // The step of each task of an array is its own.
            let step = text("SLURM_STEP_ID").filter(|_| text("SLURM_ARRAY_JOB_ID").is_none());
            Some(step.map_or_else(|| job.clone(), |step| format!("{job}.{step}")))
        };
        self.job.clone().or_else(|| text(JOB_VARIABLE)).or_else(slurm).unwrap_or_default()
    }

    /// What does not go together.
    pub(super) fn faults(&self, verb: Option<Verb>) -> Vec<String> {
        let mut faults = Vec::new();
        let is_plan = verb == Some(Verb::Plan);
        if self.allow_partial && verb != Some(Verb::Merge) && !is_plan {
            faults.push("--allow-partial: only for mqbench merge".into());
        }
        if self.shard.is_none() && !is_plan {
            for (given, option) in [
                (self.job.is_some(), "--job"),
                (self.barrier.is_some(), "--barrier"),
                (self.control.is_some(), "--control"),
                (self.barrier_timeout.is_some(), "--barrier-timeout"),
                (self.start_at.is_some(), "--start-at"),
            ] {
                if given {
                    faults.push(format!("{option}: only for the shards of a run: add --shard I/N"));
                }
            }
            return faults;
        }
        let barrier = self.barrier();
        if barrier == BarrierName::None && self.start_at.is_none() {
            faults.push("--barrier none: when is the load to start? Add --start-at WHEN".into());
        }
        if self.control.is_some() && barrier != BarrierName::Broker {
            faults.push("--control: only for --barrier broker".into());
        }
        if self.start_at.is_some() && barrier != BarrierName::None {
            faults.push("--start-at: a barrier sets the start itself: remove one of the two".into());
        }
        faults
    }

    /// How shards wait for each other.
    pub(crate) fn barrier(&self) -> BarrierName {
        let default = || if self.start_at.is_some() { BarrierName::None } else { BarrierName::Broker };
        self.barrier.clone().unwrap_or_else(default)
    }
}

/// The number from an engine, with the count from wherever one is known; all that are known must agree.
fn combine(rank: &Rank, typed: Option<usize>, general: Option<usize>) -> Result<ShardNumber, String> {
    let known = [(typed, "--shard auto/N"), (rank.count, rank.engine), (general, COUNT_VARIABLE)];
    let mut known = known.into_iter().filter_map(|(count, name)| Some((count?, name)));
    let Some((count, source)) = known.next() else {
        return Err(format!(
            "{} is set, but the number of shards is unknown: use --shard auto/N, or set {COUNT_VARIABLE}",
            rank.engine
        ));
    };
    if let Some((other, name)) = known.find(|(other, _)| *other != count) {
        return Err(format!("{source} gives {count} shards, but {name} gives {other}"));
    }
    if rank.index >= count || count > MOST_SHARDS {
        return Err(format!("{} is {}, but there are {count} shards (the first is 0)", rank.engine, rank.index));
    }
    Ok(ShardNumber { index: rank.index, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(choice: &str, variables: &[(&'static str, &'static str)]) -> Result<(usize, usize), String> {
        let options = ShardOptions { shard: Some(ShardChoice::parse(choice)?), ..ShardOptions::default() };
        let environment = Environment::fixed(variables.iter().copied(), []);
        let mut faults = Vec::new();
        let number = options.number(&environment, &mut faults);
        number.map(|number| (number.index, number.count)).ok_or_else(|| faults.join("; "))
    }

    #[test]
    fn each_engine_names_its_shards() {
        let variables: &[(&[(&str, &str)], _)] = &[
            (&[("OMPI_COMM_WORLD_RANK", "2"), ("OMPI_COMM_WORLD_SIZE", "4")], (2, 4)),
            (&[("PMI_RANK", "0"), ("PMI_SIZE", "3")], (0, 3)),
            (&[("PMIX_RANK", "1"), ("MQBENCH_SHARDS", "3")], (1, 3)),
            (&[("SLURM_PROCID", "3"), ("SLURM_NTASKS", "4"), ("SLURM_STEP_ID", "0")], (3, 4)),
            (
                &[("SLURM_PROCID", "1"), ("SLURM_NTASKS", "8"), ("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_TASKS", "2")],
                (1, 2),
            ),
            // A batch script of an array: the number is that of the array.
            (
                &[
                    ("SLURM_PROCID", "0"),
                    ("SLURM_NTASKS", "1"),
                    ("SLURM_ARRAY_TASK_ID", "7"),
                    ("SLURM_ARRAY_TASK_MIN", "1"),
                    ("SLURM_ARRAY_TASK_COUNT", "4"),
                    ("SLURM_ARRAY_TASK_STEP", "2"),
                ],
                (3, 4),
            ),
            // mpirun in a job of Slurm.
            (
                &[
                    ("OMPI_COMM_WORLD_RANK", "3"),
                    ("OMPI_COMM_WORLD_SIZE", "4"),
                    ("SLURM_PROCID", "0"),
                    ("SLURM_NTASKS", "2"),
                    ("SLURM_STEP_ID", "0"),
                ],
                (3, 4),
            ),
            (&[("JOB_COMPLETION_INDEX", "5"), ("MQBENCH_SHARDS", "8")], (5, 8)),
            (&[("PARALLEL_SEQ", "8"), ("MQBENCH_SHARDS", "8")], (7, 8)),
        ];
        for (variables, expected) in variables {
            assert_eq!(found("auto", variables), Ok(*expected), "{variables:?}");
        }
        assert_eq!(found("auto/9", &[("JOB_COMPLETION_INDEX", "5")]), Ok((5, 9)));
        assert_eq!(found("3/4", &[("JOB_COMPLETION_INDEX", "5")]), Ok((3, 4)), "what was typed counts");
    }

    #[test]
    fn an_environment_that_contradicts_itself_is_refused() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let variables: &[Case<'_>] = &[
            ("auto", &[], "no variable of Slurm"),
            ("auto", &[("SLURM_JOB_ID", "1"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")], "start mqbench with srun"),
            ("auto", &[("OMPI_COMM_WORLD_RANK", "4"), ("OMPI_COMM_WORLD_SIZE", "4")], "the first is 0"),
            ("auto", &[("PMI_RANK", "x"), ("PMI_SIZE", "4")], "PMI_RANK is 'x'"),
            ("auto", &[("JOB_COMPLETION_INDEX", "0")], "set MQBENCH_SHARDS"),
            ("auto/4", &[("PMI_RANK", "0"), ("PMI_SIZE", "8")], "--shard auto/N gives 4 shards, but PMI_RANK gives 8"),
            ("auto/4", &[("PARALLEL_SEQ", "0")], "counts from 1"),
            ("auto/4", &[("PARALLEL_SEQ", "5")], "there are 4 shards"),
            ("auto/4", &[("PARALLEL_SEQ", "2"), ("JOB_COMPLETION_INDEX", "2")], "two engines"),
            (
                "auto",
                &[
                    ("SLURM_PROCID", "0"),
                    ("SLURM_NTASKS", "4"),
                    ("SLURM_STEP_ID", "0"),
                    ("SLURM_ARRAY_TASK_ID", "1"),
                    ("SLURM_ARRAY_TASK_COUNT", "2"),
                ],
                "in a task of an array",
            ),
        ];
        for (choice, variables, part) in variables {
            let fault = found(choice, variables).unwrap_err();
            assert!(fault.contains(part), "{variables:?}: {fault}");
        }
    }

    #[test]
    fn shards_and_moments_are_read_strictly() {
        for text in ["", "4/4", "-1/4", "1/0", "1", "auto/", "auto/0", "a/4", "0/100001", "0/4/1", "AUTO"] {
            assert!(ShardChoice::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(Moment(1_500_000_000)));
        assert_eq!(moment("1.5"), Ok(Moment(1_500_000_000)));
        for text in ["", "now", "1.5s", "-1", "1e9", ".5", "2026-01-31", "1.0000000001", "99999999999"] {
            assert!(moment(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_run_is_named_after_the_job_of_its_engine() {
        let name = |variables: &[(&'static str, &'static str)]| {
            ShardOptions::default().job_name(&Environment::fixed(variables.iter().copied(), []))
        };
        assert_eq!(name(&[]), "");
        assert_eq!(name(&[("SLURM_JOB_ID", "12"), ("SLURM_STEP_ID", "3")]), "12.3");
        assert_eq!(name(&[("SLURM_JOB_ID", "13"), ("SLURM_ARRAY_JOB_ID", "12"), ("SLURM_STEP_ID", "0")]), "12");
        assert_eq!(name(&[("SLURM_JOB_ID", "12"), ("MQBENCH_JOB", "mine")]), "mine");
    }
}
