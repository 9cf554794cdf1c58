//! How a run of mqrr ends: what is said, how the broker is left, and the exit status.

use std::io::{self, Write};

use super::run::{End, Failure, Requester};
use super::telling::{Situation, Stage};
use crate::client::ClientError;
use crate::client::mosquitto::TIMED_OUT;
use crate::exit_status::ExitStatus;
use crate::mqtt::{QoS, ReasonCode};
use crate::subscribe::{PARTING, reason_with_will};

impl Requester<'_> {
    /// Everything, from the first connection to the exit status.
    pub(super) async fn run(mut self) -> ExitStatus {
        let status = match self.exchange().await {
            Ok(()) => {
                self.leave().await;
                ExitStatus::Done
            }
            Err(end) => self.end(end).await,
        };
        let several = self.receiver.exchange.asked() > 1;
        if self.plan.latency && several && !self.plan.compat && self.receiver.exchange.all() > 0 {
            let _ = writeln!(io::stderr(), "{}", self.round_trips.summary());
        }
        self.outlet.end(status)
    }

    /// The end of a run with all its responses, or whose request cannot be sent. mosquitto_rr closes without a word then;
    /// only a will would come of that.
    async fn leave(&mut self) {
        if !self.plan.compat || self.plan.connect.session.will.is_some() {
            return self.part(ReasonCode::SUCCESS).await;
        }
        let flushed = async {
            while self.outlet.client.unwritten() > 0 {
                self.outlet.client.step(&mut self.receiver, false, std::future::pending::<()>()).await?;
            }
            Ok::<_, ClientError>(())
        };
        let _ = tokio::time::timeout(PARTING, flushed).await;
        self.outlet.client.close_abruptly();
    }

    async fn end(&mut self, end: End) -> ExitStatus {
        let compat = self.plan.compat;
        self.outlet.write_out(&mut self.receiver).await;
        match end {
            End::Interrupted(signal) => {
                self.part(reason_with_will(&self.plan.connect.session, compat)).await;
                self.diagnostics.error(format_args!("interrupted: {}", self.situation().what_came()));
                ExitStatus::Interrupted(signal)
            }
            End::TimedOut => {
                let told = self.situation();
                let error = told.timed_out(self.plan.timeout.unwrap_or_default());
                let hints = told.hints();
                self.part(reason_with_will(&self.plan.connect.session, compat)).await;
                if compat {
                    self.diagnostics.verbatim(TIMED_OUT);
                    return ExitStatus::TimedOut;
                }
                self.diagnostics.error(error);
                hints.iter().for_each(|hint| self.diagnostics.hint(hint));
                if self.receiver.exchange.come() > 0 && !self.held {
                    ExitStatus::TooFewCame
                } else {
                    ExitStatus::TimedOut
                }
            }
            End::Unread => {
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Done
            }
            End::Stdout(error) => {
                self.diagnostics.error(format_args!("cannot write to stdout: {error}"));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            End::Own(Failure::Input(error)) => {
                self.diagnostics.error(format_args!("cannot read {}: {error}", self.plan.source.input_name()));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            End::Own(Failure::Refused(reason, words)) => {
                let target = self.outlet.client.target().to_owned();
                let topic = &self.plan.request.topic;
                self.diagnostics.error(format_args!("{target}: the broker refused the request to '{topic}': {reason}"));
                if let Some(words) = words {
                    self.diagnostics.verbatim(&format!("The broker says: {words}\n"));
                }
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Refused(reason)
            }
            End::Client(error @ ClientError::SubscribeRefused { .. }) if !compat => {
                self.diagnostics.error(&error);
                self.diagnostics.hint("may this user subscribe there? choose another response topic with -e");
                self.part(ReasonCode::SUCCESS).await;
                error.exit_status()
            }
            End::Client(error) => {
                let status = self.diagnostics.client_error(&error);
                match error {
                    ClientError::Publish(_) => self.leave().await,
                    _ => self.part(ReasonCode::SUCCESS).await,
                }
                status
            }
        }
    }

    fn situation(&self) -> Situation<'_> {
        Situation {
            stage: match (self.outlet.client.is_open(), self.subscribed) {
                (false, _) if self.outlet.client.waits_for_connack() => Stage::Unanswered,
                (false, _) => Stage::Connecting,
                (true, false) => Stage::Subscribing,
                (true, true) if self.held => Stage::Held,
                (true, true) => Stage::Asked,
            },
            exchange: &self.receiver.exchange,
            fate: &self.receiver.fate,
            request_topic: &self.plan.request.topic,
            response_topic: &self.topic,
            acknowledged: self.plan.request.qos != QoS::AtMostOnce,
            v5: self.plan.connect.session.version.is_v5(),
        }
    }

    async fn part(&mut self, reason: ReasonCode) {
        let _ = self.outlet.part(reason, &self.plan.disconnect_properties, PARTING).await;
    }
}
