//! `mqbench plan`: the job file that runs a plan on several machines, and how many machines a load needs. It makes no
//! connection. The engine that reads the file starts, places and watches the shards; mqbench has no controller.

mod kubernetes;
mod machines;
mod mpi;
mod parallel;
mod shell;
mod slurm;

use std::time::Duration;

use anyhow::Result;

use self::shell::{one_line, shell_word};
use super::plan::{BenchPlan, Target, bench_plan, is_this_machine};
use crate::exit_status::ExitStatus;
use crate::options::{
    BENCH, BenchOptions, EngineName, Environment, JobArgument, JobCommand, ShardChoice, ShardNumber, UsageError,
};
use crate::terminal::{print, say};

/// A run on several machines, as the job files need it.
#[derive(Debug)]
struct Job {
    /// How many processes.
    shards: u32,
    /// The options of each, the verb first.
    run: Vec<JobArgument>,
    /// The options of the merge.
    merge: Vec<JobArgument>,
    /// The broker is at an address that is another machine on every machine.
    is_local: bool,
    /// There is a user name, and its password may come from `MQTT_PASSWORD`.
    takes_password: bool,
    /// Connections come from addresses of `-A`.
    binds: bool,
    /// About how long the run takes; none where only a count ends it.
    length: Option<Duration>,
    /// The container image.
    image: String,
    /// Part of names that must differ from run to run.
    tag: String,
}

/// Runs `mqbench plan`.
///
/// # Errors
/// Saved figures that cannot be read, stdout.
pub(super) fn run(options: &BenchOptions, environment: &Environment) -> Result<ExitStatus> {
    if let Some(target) = options.job.target {
        return machines::run(options, environment, target);
    }
    match job_file(options, environment, std::env::args_os()) {
        Ok((text, warning)) => {
            if let Some(warning) = warning.filter(|_| !options.general.quiet) {
                say(format_args!("Warning: {warning}"));
            }
            print(text.as_bytes())?;
            Ok(ExitStatus::Done)
        }
        Err(error) => Ok(error.report()),
    }
}

/// The job file, and what its user should know.
fn job_file(
    options: &BenchOptions,
    environment: &Environment,
    argv: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<(String, Option<String>), UsageError> {
    let command = BenchOptions::job_command(environment, argv)?;
    if let Some(file) = command.run.iter().find(|it| it.file.is_some() && it.words.last().is_some_and(|it| it == "-")) {
        let fault = format!("{} -: the shards of a job have no stdin: give a file", file.words[0]);
        return Err(UsageError::new(BENCH.name, vec![fault]));
    }
    let plan = bench_plan(&first_shard(options), environment, &Target::AsTyped)?;
    let engine = options.job.engine.unwrap_or(EngineName::Slurm);
    let job = Job::of(options, &plan, command)?;
    let text = match engine {
        EngineName::Slurm => slurm::file(&job),
        EngineName::Mpi => mpi::file(&job),
        EngineName::Kubernetes => kubernetes::file(&job)?,
        EngineName::Parallel => parallel::file(&job),
    };
    let warning = job.is_local.then(|| {
        "the broker's address is this machine, and every machine of the job takes that as itself: give -h the broker's \
         name unless all shards run here"
            .to_owned()
    });
    Ok((text, warning))
}

/// The options of the first shard, whose plan is checked before it runs anywhere.
fn first_shard(options: &BenchOptions) -> BenchOptions {
    let mut options = options.clone();
    let count = options.job.shards.unwrap_or(1) as usize;
    options.shards.shard = Some(ShardChoice::Typed(ShardNumber { index: 0, count }));
    options
}

impl Job {
    fn of(options: &BenchOptions, plan: &BenchPlan, command: JobCommand) -> Result<Self, UsageError> {
        let shards = options.job.shards.unwrap_or(1);
        let JobCommand { mut run, merge, names_options_file } = command;
        if !names_options_file {
            // What the other machines have in their options files is no part of this job.
            let words = ["-o", "/dev/null"].map(str::to_owned).to_vec();
            run.push(JobArgument { words, file: None });
        }
        let connection = &options.connection;
        let takes_password =
            plan.user_name.is_some() && connection.pw_file.is_none() && !names_options_file && plan.password.is_some();
        Ok(Self {
            shards,
            run,
            merge,
            is_local: plan.targets.addresses().any(is_this_machine),
            takes_password,
            binds: !plan.targets.sources().is_empty(),
            length: length(plan),
            image: options.job.image.clone().unwrap_or_else(|| "mqtools:latest".to_owned()),
            tag: plan.run.to_string(),
        })
    }

    /// The command of a shard for a shell, an option a line; `own` are the words that the engine adds, which the shell
    /// is to read.
    fn command(&self, own: &[&str], indent: &str) -> String {
        let mut lines = vec![];
        let mut first = "mqbench".to_owned();
        for argument in &self.run {
            let words: Vec<String> = argument.words.iter().map(|word| shell_word(word)).collect();
            if argument.words.iter().any(|word| word.starts_with('-')) {
                lines.push(words.join(" "));
            } else {
                first.push(' ');
                first.push_str(&words.join(" "));
            }
        }
        lines.extend(own.iter().map(|word| (*word).to_owned()));
        lines.insert(0, first);
        lines.join(&format!(" \\\n{indent}"))
    }

    /// The command that merges the results in `folder`, a word for a shell.
    fn merge_command(&self, folder: &str) -> String {
        let words =
            |argument: &JobArgument| argument.words.iter().map(|word| one_line(word)).collect::<Vec<_>>().join(" ");
        let given: Vec<String> = self.merge.iter().map(words).collect();
        let has_out = self.merge.iter().any(|argument| argument.words[0] == "--out");
        let out = if has_out { String::new() } else { format!(" --out {folder}/result.json") };
        let given = given.iter().map(|it| format!(" {it}")).collect::<String>();
        format!("mqbench merge {folder}/shard-*.json{out}{given}")
    }

    /// Comment lines that hold for every engine but Kubernetes, where files and variables are another thing.
    fn notes(&self) -> String {
        let mut notes = Vec::new();
        if self.is_local {
            notes.push(
                "The broker's address is the machine itself: for several machines give -h another name.".to_owned(),
            );
        }
        let files = self.files();
        if !files.is_empty() {
            let names: Vec<String> = files.iter().map(|(_, path)| one_line(path)).collect();
            notes.push(format!("Every machine needs these files: {}", names.join(" ")));
        }
        if self.takes_password {
            notes.push("The password is that of the variable MQTT_PASSWORD, which is not in this file.".to_owned());
        }
        if self.binds {
            notes.push("Every machine needs all local addresses of -A.".to_owned());
        }
        notes.iter().map(|note| format!("# {note}\n")).collect()
    }

    /// The files among the options, each with a short name.
    fn files(&self) -> Vec<(&str, &str)> {
        self.run.iter().filter_map(file_of).collect()
    }
}

/// The file of an argument with its short name.
fn file_of(argument: &JobArgument) -> Option<(&str, &str)> {
    let file = argument.file.as_ref()?;
    Some((&file.key, argument.words.last()?.strip_prefix(file.prefix)?))
}

/// How to gate: lines of comments that follow each job file.
const EXIT_STATUS: &str = "\
# The exit status is that of the merge: 0 done, 1 a shard is missing or failed (its number is printed; what the others
# measured: mqbench merge --allow-partial), 3 a --gate failed, 4 not valid, as a shard that began more than 50 ms off.
";

/// About how long a plan takes, where time ends it.
fn length(plan: &BenchPlan) -> Option<Duration> {
    let connects = plan.connect_rate.map_or(0.0, |rate| plan.clients() as f64 / rate);
    let measured = if plan.idlers > 0 {
        plan.hold
    } else {
        plan.stages
            .iter()
            .map(|stage| stage.duration.map(|time| stage.warmup + time + plan.drain))
            .sum::<Option<_>>()?
    };
    Some(measured + Duration::from_secs_f64(connects))
}

#[cfg(test)]
mod tests;
