//! The group of `mqbench plan`, and a command line taken apart for a job file: what each shard is given, what `merge` is
//! given, and which words are files.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Args, Command, ValueEnum, ValueHint};

use super::UsageError;
use super::arguments::{OptionTable, Typed};
use super::properties::JOINT;
use super::values::{positive_count, rate};

/// More shards than any cluster starts at once.
const MOST_SHARDS: u64 = 100_000;

/// What `mqbench plan` prints.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shards")]
pub struct JobOptions {
    /// mqbench plan: print the job file that runs the plan in --shards parts: slurm, mpi, kubernetes or parallel.
    ///
    /// All other options are those of the run. --gate, --baseline, --details and --out go to the merge of the parts. A
    /// password must be in a file (--pw-file, or -o for anything else that is secret): a job file is read by others.
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: Option<EngineName>,

    /// mqbench plan: number of shards, each a process, best on its own machine.
    #[arg(long, value_name = "COUNT", value_parser = shards)]
    pub shards: Option<u32>,

    /// mqbench plan: the container image in the job file for Kubernetes [default: mqtools:latest].
    #[arg(long, value_name = "IMAGE", value_hint = ValueHint::Other)]
    pub image: Option<String>,

    /// mqbench plan: how many machines a load needs, as in '1M clients, 500k/s'.
    ///
    /// Computed from the limits and the measured ceiling of this machine, or from saved files: self.json (mqbench self --out), doctor.json
    /// (mqbench doctor --out) and the result of a small run of the same plan on one machine.
    #[arg(long, value_name = "LOAD", value_parser = LoadTarget::parse, value_hint = ValueHint::Other)]
    pub target: Option<LoadTarget>,
}

/// What starts the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Slurm: a file for sbatch.
    Slurm,
    /// Open MPI, MPICH: a script that calls mpirun.
    Mpi,
    /// Kubernetes: an Indexed Job.
    Kubernetes,
    /// GNU parallel: a script, on this machine or over ssh.
    Parallel,
}

impl EngineName {
    /// As it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slurm => "slurm",
            Self::Mpi => "mpi",
            Self::Kubernetes => "kubernetes",
            Self::Parallel => "parallel",
        }
    }
}

/// A load that one machine may not be able to make.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadTarget {
    /// Clients of all kinds together.
    pub clients: Option<u64>,
    /// Messages per second that are published in total.
    pub rate: Option<f64>,
}

impl LoadTarget {
    fn parse(text: &str) -> Result<Self, String> {
        let form = || "must be clients, a rate or both, as in '1M clients, 500k/s'".to_owned();
        let mut target = Self::default();
        for part in text.split(',').map(str::trim) {
            if let Some(number) = part.strip_suffix("clients").or_else(|| part.strip_suffix("client")) {
                let clients = positive_count(number.trim()).map_err(|fault| format!("clients: {fault}"))?;
                if target.clients.replace(clients).is_some() {
                    return Err(form());
                }
            } else if let Some(number) = part.strip_suffix("/s") {
                let rate = rate(number.trim()).map_err(|fault| format!("rate: {fault}"))?;
                if target.rate.replace(rate).is_some() {
                    return Err(form());
                }
            } else {
                return Err(form());
            }
        }
        Ok(target)
    }
}

fn shards(text: &str) -> Result<u32, String> {
    match positive_count(text)? {
        count if count <= MOST_SHARDS => Ok(count as u32),
        _ => Err(format!("must be at most {MOST_SHARDS}")),
    }
}

/// An option with its values, or a verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobArgument {
    /// The words; a value that is a file is the last one.
    pub words: Vec<String>,
    /// Where the last word is a file that must be on every machine.
    pub file: Option<JobFile>,
}

/// A file among the options of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFile {
    /// Short name for it, of letters, digits, `-` and `_`.
    pub key: String,
    /// What stands before the path in the word, as `template:`.
    pub prefix: &'static str,
}

/// A command line of `mqbench plan`, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobCommand {
    /// What each shard is given; the verb first.
    pub run: Vec<JobArgument>,
    /// What `mqbench merge` is given besides the results.
    pub merge: Vec<JobArgument>,
    /// Whether an options file was named with `-o`: its options are not among those of the run.
    pub names_options_file: bool,
}

/// Options of `plan` itself.
const OF_PLAN: [&str; 5] = ["engine", "shards", "image", "target", "profile"];
/// Options about the result, which is made by the merge.
const OF_MERGE: [&str; 8] = ["allow_partial", "out", "gate", "baseline", "any_plan", "tolerance", "details", "json"];
/// What stands before the path of a payload's template.
const TEMPLATE: &str = "template:";

impl JobCommand {
    /// Takes apart the arguments of all sources, after they were judged by clap: options files and profiles that are not
    /// named on the command line are written out, since nobody knows what the other machines have.
    ///
    /// # Errors
    /// A secret, which does not belong in a file that others read, and words that are not UTF-8.
    pub(super) fn of(
        command: &Command,
        table: &OptionTable<'_>,
        sources: Vec<(String, Vec<OsString>)>,
        options_file: Option<&OsStr>,
    ) -> Result<Self, UsageError> {
        let mut job = Self { names_options_file: options_file.is_some(), ..Self::default() };
        let mut faults = Vec::new();
        for (source, arguments) in sources {
            if options_file.is_some_and(|file| source == file.to_string_lossy()) {
                continue;
            }
            if table.hold_secret(&arguments) {
                faults.push(format!(
                    "{source} holds a password, a token or a URL with one, which a job file must not repeat: others read \
                     it. Put the option in a file that only you can read (chmod 600) and name it with -o FILE, or use \
                     --pw-file FILE; the file must be on every machine"
                ));
                continue;
            }
            let mut rest = arguments.into_iter().peekable();
            while let Some(typed) = table.next_typed(&mut rest) {
                match argument(command, &typed) {
                    Ok(Some((id, argument))) => job.push(&id, argument),
                    Ok(None) => {}
                    Err(fault) => faults.push(fault),
                }
            }
        }
        UsageError::check("mqbench", faults)?;
        // The verb of plan itself, then that of the run.
        job.run.retain(|argument| argument.words != ["plan"]);
        job.run.sort_by_key(|argument| argument.words.iter().any(|word| word.starts_with('-')));
        Ok(job)
    }

    fn push(&mut self, id: &str, argument: JobArgument) {
        if OF_MERGE.contains(&id) {
            self.merge.push(argument);
        } else if !OF_PLAN.contains(&id) {
            self.run.push(argument);
        }
    }
}

/// An argument with its values and the name of its option; none for `--`.
fn argument(command: &Command, typed: &Typed) -> Result<Option<(String, JobArgument)>, String> {
    let (mut head, mut values) = typed.taken_apart();
    if values.first().is_some_and(|value| value.to_string_lossy().starts_with('-')) && typed.values.is_empty() {
        // Alone it would be taken for an option.
        (head, values) = (typed.argument.clone(), Vec::new());
    }
    let mut words: Vec<String> = Vec::new();
    for word in std::iter::once(head).chain(values) {
        let text =
            word.into_string().map_err(|_| "an argument is not UTF-8, which a job file cannot hold".to_owned())?;
        // The words of a -D, which an earlier walk has joined.
        words.extend(text.split(JOINT).map(str::to_owned));
    }
    let Some(first) = words.first().filter(|first| first.as_str() != "--") else { return Ok(None) };
    let option = option_of(command, first.split('=').next().unwrap_or_default());
    let id = option.map_or_else(String::new, |option| option.get_id().to_string());
    let is_path = option.is_some_and(|option| {
        matches!(option.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath)
            && first.starts_with('-')
            && option.get_id() != "barrier"
    });
    let prefix = if is_path {
        Some("")
    } else {
        words.last().filter(|last| id == "payload" && last.starts_with(TEMPLATE)).map(|_| TEMPLATE)
    };
    let key = if id == "options_file" { "options".to_owned() } else { id.replace('_', "-") };
    let file = prefix.filter(|_| words.len() > 1).map(|prefix| JobFile { key, prefix });
    Ok(Some((id, JobArgument { words, file })))
}

/// The option that a typed one is, without its value.
fn option_of<'a>(command: &'a Command, typed: &str) -> Option<&'a Arg> {
    let mut all = command.get_arguments();
    match typed.strip_prefix("--") {
        Some(long) => all.find(|option| option.get_long() == Some(long)),
        None => {
            let letter = typed.strip_prefix('-')?.chars().last()?;
            all.find(|option| option.get_short() == Some(letter))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BenchOptions, Environment};
    use super::*;

    fn job(arguments: &[&str]) -> Result<JobCommand, UsageError> {
        let files = [("/c/mqbench", b"-h from-file\n-t a/%i\n".to_vec()), ("/o", b"-P hunter2\n".to_vec())];
        let environment = Environment::fixed([("XDG_CONFIG_HOME", "/c")], files);
        BenchOptions::job_command(&environment, ["mqbench", "plan"].iter().chain(arguments).map(OsString::from))
    }

    fn words(arguments: &[JobArgument]) -> Vec<String> {
        arguments.iter().map(|argument| argument.words.join(" ")).collect()
    }

    #[test]
    fn run_and_merge_get_their_own_options() {
        let typed =
            "--engine slurm -q1 pub --shards=8 --gate lost==0 -D publish user-property k v --out=r.json --rate 5";
        let arguments: Vec<&str> = typed.split(' ').collect();
        let job = job(&arguments).unwrap();
        let expected = ["pub", "-h from-file", "-t a/%i", "-q 1", "-D publish user-property k v", "--rate 5"];
        assert_eq!(words(&job.run), expected);
        assert_eq!(words(&job.merge), ["--gate lost==0", "--out r.json"]);
    }

    #[test]
    fn files_are_known() {
        let hyphen = job(&["--name=-x y", "--gate=-1"]).unwrap();
        assert_eq!(words(&hyphen.run)[2..], ["--name=-x y"]);
        assert_eq!(words(&hyphen.merge), ["--gate=-1"]);
        let job = job(&["--cafile=ca.pem", "-rf", "x", "--payload", "template:t.json", "--payload", "zero"]).unwrap();
        let files: Vec<_> =
            job.run.iter().filter_map(|it| Some((it.words.last()?.as_str(), it.file.clone()?))).collect();
        let file = |key: &str, prefix| JobFile { key: key.into(), prefix };
        let expected =
            [("ca.pem", file("cafile", "")), ("x", file("file", "")), ("template:t.json", file("payload", TEMPLATE))];
        assert_eq!(files, expected);
    }

    #[test]
    fn secrets_are_refused_and_never_repeated() {
        for arguments in [
            &["-P", "hunter2"][..],
            &["--pw=hunter2"],
            &["-L", "mqtt://u:hunter2@h"],
            &["-D", "connect", "authentication-data", "hunter2"],
            &["--proxy", "socks5://u:hunter2@h"],
            &["--ws-header", "Authorization: hunter2"],
        ] {
            let error = job(arguments).unwrap_err().to_string();
            assert!(error.contains("-o FILE") && !error.contains("hunter2"), "{error}");
        }
        let job = job(&["-o", "/o", "-u", "u"]).unwrap();
        assert_eq!((words(&job.run), job.names_options_file), (vec!["-o /o".to_owned(), "-u u".to_owned()], true));
    }

    #[test]
    fn a_target_is_clients_and_a_rate() {
        let target = |clients, rate| Ok(LoadTarget { clients, rate });
        assert_eq!(LoadTarget::parse("1M clients, 500k/s"), target(Some(1_000_000), Some(500_000.0)));
        assert_eq!(LoadTarget::parse("10k clients"), target(Some(10_000), None));
        assert_eq!(LoadTarget::parse("0.5/s"), target(None, Some(0.5)));
        for text in ["", "1M", "x clients", "5/s, 6/s", "1 clients,", "-1/s", "0 clients", "0/s"] {
            assert!(LoadTarget::parse(text).is_err(), "{text:?}");
        }
    }
}
