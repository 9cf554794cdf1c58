//! How a run of mqrr ends: what is said, how the broker is left, and the exit status.

use std::io::{self, Write};
use std::time::Duration;

use super::run::{End, Requester};
use super::telling::{Situation, Stage};
use crate::client::mosquitto::TIMED_OUT;
use crate::client::{ClientError, Parting};
use crate::exit_status::ExitStatus;
use crate::mqtt::{QoS, ReasonCode};

/// How long a run that is at its end may take to write what it has.
const PARTING: Duration = Duration::from_millis(500);

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
        status
    }

    /// The end of a run with all its responses, or whose request cannot be sent. mosquitto_rr closes without a word then;
    /// only a will would come of that.
    async fn leave(&mut self) {
        if !self.plan.compat || self.plan.connect.session.will.is_some() {
            return self.part(ReasonCode::SUCCESS).await;
        }
        let flushed = async {
            while self.client.unwritten() > 0 {
                self.client.step(&mut self.receiver, false, std::future::pending::<()>()).await?;
            }
            Ok::<_, ClientError>(())
        };
        let _ = tokio::time::timeout(PARTING, flushed).await;
        self.client.close_abruptly();
    }

    async fn end(&mut self, end: End) -> ExitStatus {
        let compat = self.plan.compat;
        let _ = tokio::time::timeout(PARTING, self.write_out()).await;
        match end {
            End::Interrupted => {
                self.part(self.reason_with_will()).await;
                if !compat {
                    self.diagnostics.error(format_args!("interrupted: {}", self.situation().what_came()));
                }
                ExitStatus::Interrupted
            }
            End::TimedOut => {
                let told = self.situation();
                let error = told.timed_out(self.plan.timeout.unwrap_or_default());
                let hints = told.hints();
                self.part(self.reason_with_will()).await;
                if compat {
                    self.diagnostics.verbatim(TIMED_OUT);
                    return ExitStatus::TimedOut;
                }
                self.diagnostics.error(error);
                hints.iter().for_each(|hint| self.diagnostics.hint(hint));
                if self.receiver.exchange.come() > 0 { ExitStatus::TooFewCame } else { ExitStatus::TimedOut }
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
            End::Stdin(error) => {
                self.diagnostics.error(format_args!("cannot read stdin: {error}"));
                self.part(ReasonCode::SUCCESS).await;
                ExitStatus::Failed
            }
            End::Refused(reason, words) => {
                let target = self.client.target().to_owned();
                let topic = &self.plan.request.topic;
                self.diagnostics.error(format_args!("{target}: the broker refused the request to {topic}: {reason}"));
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
            stage: match (self.client.is_open(), self.subscribed) {
                (false, _) => Stage::Connecting,
                (true, false) => Stage::Subscribing,
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

    /// Writes everything that waits for stdout and acknowledges it.
    async fn write_out(&mut self) -> io::Result<()> {
        loop {
            if self.stdout.is_busy() {
                let written = self.stdout.written().await?;
                self.acknowledge(written);
            }
            if self.receiver.batch.is_empty() {
                return Ok(());
            }
            let batch = std::mem::take(&mut self.receiver.batch);
            if let Some(written) = self.stdout.write(batch)? {
                self.acknowledge(written);
            }
        }
    }

    /// A run that could have gone on leaves so that its will is published; mosquitto_rr does so without one too.
    fn reason_with_will(&self) -> ReasonCode {
        let session = &self.plan.connect.session;
        let with_will = (session.will.is_some() || self.plan.compat) && session.version.is_v5();
        if with_will { ReasonCode::DISCONNECT_WITH_WILL } else { ReasonCode::SUCCESS }
    }

    async fn part(&mut self, reason: ReasonCode) {
        if !self.client.is_open() {
            return;
        }
        let (properties, parting) = (self.plan.disconnect_properties.clone(), Parting::Draining(PARTING));
        let _ = self.client.disconnect(reason, properties, PARTING, parting).await;
    }
}
