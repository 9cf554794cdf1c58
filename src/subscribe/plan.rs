//! What mqsub is to do: plain data, made of the options.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use super::command::CommandTemplate;
use super::conditions::ConditionPlan;
use super::directory::DirectoryPlan;
use super::format::{Printer, Style, Template};
use super::ready::ReadyPlan;
use super::record::RecordPlan;
use super::selection::{RandomFilter, SelectionPlan};
use super::silence::SilencePlan;
use crate::client::ClientPlan;
use crate::mqtt::wire::{RetainHandling, Subscribe, SubscribeFilter};
use crate::mqtt::{Properties, ProtocolVersion, TopicFilter};
use crate::options::{
    CommandProperties, ConditionOptions, EachOptions, Environment, OutputOptions, ReadyOptions, RecordOptions,
    RetainHandlingName, SUBSCRIBE, ScreenOptions, SubscribeOptions, SubscriptionOptions, TopicQos, UsageError,
    fault_of_plan,
};
use crate::recording::Existing;

/// How messages are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputMode {
    /// One after the other.
    Stream(Printer),
    /// `-w`: each topic on a line of the screen.
    Screen(Printer),
    /// `--message-rate`: only how many there are per second.
    Rate,
    /// `--stats`: figures of each topic, in this interval.
    Statistics(Duration),
    /// They are not shown: they go elsewhere.
    Nothing,
}

/// What mqsub is to do.
#[derive(Clone, Debug)]
pub struct SubscribePlan {
    /// The broker, and what every client does.
    pub client: ClientPlan,
    /// The subscription; without filters there is none.
    pub subscribe: Subscribe,
    /// Filters to unsubscribe from.
    pub unsubscribe: Vec<String>,
    /// Properties of UNSUBSCRIBE.
    pub unsubscribe_properties: Properties,
    /// Which messages count, and which is the last.
    pub selection: SelectionPlan,
    /// `--filter`, `--until` and `--expect`.
    pub conditions: Option<ConditionPlan>,
    /// `--dry-run`: retained messages that would be removed are only counted.
    pub dry_run: bool,
    /// `--once`: the run ends when all retained messages have come; the value is whether a marker may prove that.
    pub once: Option<bool>,
    /// `--silent-exec`.
    pub(super) silence_command: Option<CommandTemplate>,
    /// `--silent-after`.
    pub silence: Option<SilencePlan>,
    /// How they are shown.
    pub display: OutputMode,
    /// `--record`: the file that they go to.
    pub record: Option<RecordPlan>,
    /// `--run`: a command for each, a limited number at a time.
    pub run: Option<RunPlan>,
    /// `--to-dir`: the folder with their files.
    pub directory: Option<DirectoryPlan>,
    /// What happens once the subscriptions stand.
    pub ready: ReadyPlan,
    /// `-W`: the run ends after this time.
    pub timeout: Option<Duration>,
    /// `-E`: the run ends when the broker has answered.
    pub exit_after_subscribing: bool,
    /// A dense stream is read in moderation, many messages at a time; not with `--nodelay`.
    pub moderates: bool,
}

impl SubscribePlan {
    /// What the options mean.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(options: &SubscribeOptions, environment: &Environment) -> Result<Self, UsageError> {
        let plan = Self::of_options(options, environment);
        plan.map_err(|error| fault_of_plan(error, &options.general, None, environment))
    }

    /// Whether the run has an end besides `-W` and that of a command.
    pub(super) fn has_end(&self) -> bool {
        let Self { selection, conditions, once, silence, silence_command, exit_after_subscribing, .. } = self;
        let ends = |conditions: &ConditionPlan| conditions.until.is_some() || conditions.expectation.is_some();
        *exit_after_subscribing
            || selection.count.is_some()
            || selection.retained_only
            || conditions.as_ref().is_some_and(ends)
            || once.is_some()
            || (silence.is_some() && silence_command.is_none())
    }

    fn of_options(options: &SubscribeOptions, environment: &Environment) -> Result<Self, UsageError> {
        let SubscribeOptions {
            subscription,
            conditions,
            output,
            screen,
            // Its own plan is made of this one.
            explore: _,
            record,
            each,
            ready,
            client: groups,
            check: _,
            general,
        } = options;
        let (client, commands, (display, run)) =
            groups.plan_with(general, &SUBSCRIBE, environment, more(output, screen, record, each))?;
        let CommandProperties { subscribe, unsubscribe, disconnect: _, connect: _, publish: _, will: _ } = commands;
        let version = client.connect.session.version;
        let filters = filters(subscription, client.connect.topic_of_url.as_deref(), version);
        let silence = silence(conditions, &filters);
        let silence_command = conditions.silent_exec.as_ref().map(CommandTemplate::new).transpose();
        let silence_command = silence_command
            .map_err(|fault| UsageError::new(SUBSCRIBE.name, vec![format!("--silent-exec: {fault}")]))?;
        Ok(Self {
            silence,
            silence_command,
            dry_run: subscription.dry_run,
            // A kept session would keep the subscription of the marker.
            once: subscription.once.then_some(!subscription.no_marker && client.connect.session.clean_start),
            subscribe: Subscribe { packet_identifier: 0, properties: subscribe, filters },
            unsubscribe: subscription.unsubscribe.clone(),
            unsubscribe_properties: unsubscribe,
            selection: selection(subscription)?,
            conditions: ConditionPlan::new(conditions).map_err(|faults| UsageError::new(SUBSCRIBE.name, faults))?,
            display,
            record: record_plan(record),
            run,
            directory: directory_plan(each),
            ready: ready_plan(ready),
            timeout: subscription.timeout,
            exit_after_subscribing: subscription.exit_after_subscribing,
            moderates: !groups.connection.nodelay,
            client,
        })
    }
}

fn filters(
    subscription: &SubscriptionOptions,
    topic_of_url: Option<&str>,
    version: ProtocolVersion,
) -> Vec<SubscribeFilter> {
    let SubscriptionOptions { topic, topic_qos, qos, no_local, retain_as_published, retain_handling, .. } =
        subscription;
    let retain_handling = handling_of_retained(*retain_handling, subscription.no_retained, version);
    let of_default_qos = topic.iter().map(String::as_str).chain(topic_of_url).map(|filter| (filter, *qos));
    let of_own_qos = topic_qos.iter().map(|TopicQos { filter, qos }| (filter.as_str(), *qos));
    of_default_qos
        .chain(of_own_qos)
        .map(|(filter, qos)| SubscribeFilter {
            filter: filter.to_owned(),
            qos,
            no_local: *no_local,
            retain_as_published: *retain_as_published,
            retain_handling,
        })
        .collect()
}

/// When the broker is to send retained messages; what is not shown need not be sent.
pub(crate) fn handling_of_retained(
    asked: Option<RetainHandlingName>,
    no_retained: bool,
    version: ProtocolVersion,
) -> RetainHandling {
    match asked {
        Some(RetainHandlingName::Always) => RetainHandling::Always,
        Some(RetainHandlingName::New) => RetainHandling::New,
        Some(RetainHandlingName::Never) => RetainHandling::Never,
        None if no_retained && version.is_v5() => RetainHandling::Never,
        None => RetainHandling::Always,
    }
}

fn selection(subscription: &SubscriptionOptions) -> Result<SelectionPlan, UsageError> {
    let SubscriptionOptions {
        filter_out,
        count,
        no_retained,
        retained,
        retained_only,
        remove_retained,
        random_filter,
        ..
    } = subscription;
    let mut faults = Vec::new();
    let filter_out = filter_out.iter().filter_map(|filter| {
        TopicFilter::new(filter)
            .map_err(|error| faults.push(format!("invalid filter-out topic '{filter}': {error}")))
            .ok()
    });
    let plan = SelectionPlan {
        filter_out: filter_out.collect(),
        drop_retained: *no_retained,
        only_retained: *retained,
        retained_only: *retained_only,
        remove_retained: *remove_retained,
        count: count.and_then(NonZeroU64::new),
        // The keys of a RandomState come from the system and differ from run to run.
        random_filter: random_filter.and_then(|percent| RandomFilter::new(percent, RandomState::new().hash_one(0))),
    };
    UsageError::check(SUBSCRIBE.name, faults)?;
    Ok(plan)
}

fn ready_plan(options: &ReadyOptions) -> ReadyPlan {
    let ReadyOptions { exec, ready_fd, ready_file } = options;
    ReadyPlan { exec: exec.clone(), descriptor: *ready_fd, file: ready_file.clone() }
}

/// A topic that is asked for by its name is watched from the beginning.
fn silence(options: &ConditionOptions, filters: &[SubscribeFilter]) -> Option<SilencePlan> {
    let names = || {
        let topics = filters.iter().map(|SubscribeFilter { filter, .. }| {
            let shared = filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
            shared.map_or(filter.as_str(), |(_, filter)| filter)
        });
        topics.filter(|topic| !topic.contains(['+', '#'])).map(str::to_owned).collect()
    };
    let after = options.silent_after?;
    Some(SilencePlan { after, each: options.each_topic.then(names) })
}

fn record_plan(options: &RecordOptions) -> Option<RecordPlan> {
    let RecordOptions { record, rotate, append, force } = options;
    let existing = match (append, force) {
        (true, _) => Existing::Append,
        (false, true) => Existing::Replace,
        (false, false) => Existing::Refuse,
    };
    record.clone().map(|file| RecordPlan { file, existing, rotation: *rotate })
}

/// `--run`: what is run for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPlan {
    /// The command.
    pub(super) template: Arc<CommandTemplate>,
    /// Most commands at a time.
    pub(super) jobs: usize,
}

fn run_plan(options: &EachOptions) -> Result<Option<RunPlan>, String> {
    let EachOptions { run, jobs, to_dir: _, to_dir_per: _ } = options;
    let Some(command) = run else { return Ok(None) };
    let template = CommandTemplate::new(command).map_err(|fault| format!("--run: {fault}"))?;
    Ok(Some(RunPlan { template: Arc::new(template), jobs: jobs.map_or(1, NonZeroUsize::get) }))
}

fn directory_plan(options: &EachOptions) -> Option<DirectoryPlan> {
    let EachOptions { run: _, jobs: _, to_dir, to_dir_per } = options;
    to_dir.clone().map(|path| DirectoryPlan { path, per: to_dir_per.unwrap_or_default() })
}

fn more(
    output: &OutputOptions,
    screen: &ScreenOptions,
    record: &RecordOptions,
    each: &EachOptions,
) -> Result<(OutputMode, Option<RunPlan>), String> {
    let go_elsewhere = record.record.is_some() || each.run.is_some() || each.to_dir.is_some();
    Ok((display(output, screen, go_elsewhere)?, run_plan(each)?))
}

fn display(output: &OutputOptions, screen: &ScreenOptions, go_elsewhere: bool) -> Result<OutputMode, String> {
    let printer = printer(output)?;
    let ScreenOptions { watch, message_rate, stats } = screen;
    if let Some(interval) = stats {
        return Ok(OutputMode::Statistics(*interval));
    }
    Ok(match (*message_rate, *watch) {
        (true, _) => OutputMode::Rate,
        (false, true) => OutputMode::Screen(printer),
        (false, false) if go_elsewhere && !output.asks_for_messages() => OutputMode::Nothing,
        (false, false) => OutputMode::Stream(printer),
    })
}

/// How a message is printed.
///
/// # Errors
/// What is wrong with the text of `-F`.
pub(crate) fn printer(output: &OutputOptions) -> Result<Printer, String> {
    let OutputOptions { verbose, no_newline, format, json, json_payload, pretty } = output;
    let style = match format {
        Some(text) => Style::Template(Template::parse(text).map_err(|error| format!("-F: {error}"))?),
        None if *json || *json_payload => Style::Json { json_payload: *json_payload },
        None if *verbose => Style::TopicAndPayload,
        None => Style::Payload,
    };
    Ok(Printer { style, newline: !no_newline, pretty: *pretty, ..Printer::default() })
}
