//! The shared options module: what the user typed. The only home of clap.
//!
//! House rules:
//! - A letter belongs to mosquitto and keeps its meaning; what is ours is a long option.
//! - One file per group, one struct per tool. A tool's struct holds only flattened groups, and every group names its
//!   heading, because clap applies a heading to the fields that follow.
//! - The doc comment of a field is help, man page and completion text. Its first line is short and ends with a full
//!   stop; `--help` prints that line, the man page prints all.
//! - An option checks its own value. Relations between options are checked where a plan is made, and all faults are
//!   reported at once.
//! - A group is fully destructured where it becomes a plan, so an unused option does not compile.
//! - A password is a `Secret`, and no error repeats a value that may hold one.
//! - What the process knows (variables, files, random numbers) comes in as an [`Environment`].

// The doc comments of options are help texts, in which `HOST[:PORT]` is no link.
#![allow(rustdoc::broken_intra_doc_links)]

mod arguments;
mod arrival;
mod bench;
mod broker;
mod calibrate;
mod check;
mod client_groups;
mod command_line;
mod compat;
mod conditions;
mod connect_plan;
mod connection;
mod each;
mod environment;
mod explore;
mod general;
mod input;
mod job;
mod load;
mod message;
mod options_file;
mod output;
mod permissions;
mod process_list;
mod profile;
mod properties;
mod proxy;
mod publish;
mod reading;
mod ready;
mod record;
mod repeat;
mod request;
mod retry;
mod sections;
mod shape;
mod shard;
mod source_addresses;
mod subscribe;
mod subscription;
mod targets;
mod tls;
mod tool;
mod url;
mod usage_error;
mod values;
mod will;

pub use arrival::{Arrival, Behind};
pub use bench::{BENCH, BenchOptions};
pub use broker::{BROKER, BrokerCommand, BrokerOptions, ListenOptions};
pub use calibrate::CalibrateOptions;
pub use check::{CheckFormat, CheckOptions};
pub use client_groups::ClientGroups;
pub use command_line::CommandLine;
pub use compat::MOSQUITTO_VERSION;
pub use compat::payload::{EMPTY_STDIN, fault_of_plan, unreadable_file};
pub use conditions::ConditionOptions;
pub use connect_plan::{ConnectDefaults, connect_plan};
pub use connection::{ConnectionOptions, KeepAlive, Positions, ProtocolVersionName, UrlText};
pub use each::{EachOptions, FilePer};
pub use environment::Environment;
pub use explore::ExploreOptions;
pub use general::GeneralOptions;
pub use input::{DeliveryOptions, InputOptions, OnErrorName, Speed, TemplateOptions};
pub use job::{EngineName, JobArgument, JobCommand, JobFile, JobOptions, LoadTarget};
pub use load::{LoadOptions, MetricsAddress, ResultOptions, StageOptions, Verb, WindowName};
pub use message::{MessageOptions, RetainOptions};
pub use output::{OutputOptions, ScreenOptions};
pub use properties::{CommandProperties, PropertyArgument, PropertyOptions};
pub use publish::{PUBLISH, PublishOptions, ReportOptions, SummaryName};
pub use reading::Reading;
pub use ready::ReadyOptions;
pub use record::{RecordOptions, Rotation};
pub use repeat::{FindOptions, RepeatOptions};
pub use request::{REQUEST, RequestOptions, ResponseOptions};
pub use retry::{Backoff, RetryOptions};
pub use sections::{Entry, Section};
pub use shape::{PayloadName, Shape};
pub use shard::{BarrierName, Moment, ShardChoice, ShardNumber, ShardOptions};
pub use source_addresses::SourceAddresses;
pub use subscribe::{SUBSCRIBE, SubscribeOptions};
pub use subscription::{RetainHandlingName, SubscriptionOptions, TopicQos};
pub use targets::{BrokerPid, ClientName, HostList, HostName, PairName, TargetOptions};
pub use tls::{KeyForm, TlsOptions, TlsVersionName};
pub use tool::Tool;
pub use usage_error::UsageError;
pub use values::SizeRange;
pub use will::WillOptions;

/// All tools of the suite.
pub static TOOLS: [&Tool; 5] = [&PUBLISH, &SUBSCRIBE, &REQUEST, &BENCH, &BROKER];

#[cfg(test)]
mod tests;
