//! From a plan to an exit status.

use std::io::{IsTerminal as _, stderr};
use std::time::Instant;

use chrono::Local;

use super::app::{App, Link, Source};
use super::draw::Theme;
use super::live::{NO_TERMINAL, explore_broker};
use super::model::Model;
use super::plan::ExplorePlan;
use super::player::Player;
use super::replay::explore_recording;
use crate::client::{self, Diagnostics};
use crate::exit_status::ExitStatus;
use crate::mqtt::{ProtocolVersion, TopicFilter};
use crate::terminal::{Colors, screen_size};

/// Runs the plan on the terminal, with errors on stderr, and returns the exit status.
pub fn explore(plan: &ExplorePlan) -> ExitStatus {
    let run = &plan.subscribe.client;
    let diagnostics = Diagnostics::start(run);
    if screen_size().is_none() {
        diagnostics.failed("--tree needs a terminal, and stdout is not one that can move its cursor", NO_TERMINAL);
        return ExitStatus::Usage;
    }
    if run.debug > 0 && stderr().is_terminal() {
        diagnostics.failed("-d would write over the screen of --tree", Some("add 2>FILE to send the log to a file"));
        return ExitStatus::Usage;
    }
    let theme = Theme::new(Colors::for_stdout().is_on());
    let model = Model::new(plan.max_memory);
    let zone = *Local::now().offset();
    let status = match &plan.from {
        Some(path) => {
            let filters = plan.subscribe.subscribe.filters.iter();
            let filters = filters.filter_map(|filter| TopicFilter::new(filter.filter.as_str()).ok()).collect();
            let player = match Player::open(path, filters) {
                Ok(player) => player,
                Err(fault) => return diagnostics.failed(fault, None::<&str>),
            };
            let app = App::new(model, Source::Recording(player.view.clone()), zone);
            let end = plan.subscribe.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
            client::run(explore_recording(app, player, end, theme, diagnostics))
        }
        None => {
            let version = match run.connect.session.version {
                ProtocolVersion::V31 => "MQTT 3.1",
                ProtocolVersion::V311 => "MQTT 3.1.1",
                ProtocolVersion::V5 => "MQTT 5",
            };
            let name = run.connect.transport.address.to_string();
            let source = Source::Broker { name, version, link: Link::Connecting, losses: 0 };
            let mut app = App::new(model, source, zone);
            app.allows_write = plan.allows_write;
            client::run(explore_broker(plan, app, theme, diagnostics))
        }
    };
    status.flatten().unwrap_or_else(|error| diagnostics.cannot_start(&error))
}
