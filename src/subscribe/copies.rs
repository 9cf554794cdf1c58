//! What is made of a message besides its print: a line of the recording, a file, a command.

use super::ReceivedMessage;
use super::batch::Batch;
use super::directory::FiledMessage;
use super::jobs::Job;
use super::plan::{RunPlan, SubscribePlan};
use crate::message_json::{MessageJsonOptions, write_message};
use crate::session::Receipt;

/// What a plan asks for.
#[derive(Debug)]
pub(super) struct Copies {
    records: bool,
    files: bool,
    run: Option<RunPlan>,
}

impl Copies {
    /// None where a plan asks for nothing.
    pub(super) fn of_plan(plan: &SubscribePlan) -> Option<Self> {
        let SubscribePlan { record, run, directory, .. } = plan;
        let (records, files) = (record.is_some(), directory.is_some());
        (records || files || run.is_some()).then(|| Self { records, files, run: run.clone() })
    }

    /// Puts the copies of a message into the batch. True when its receipt is among them: it is acknowledged when its
    /// command has ended.
    pub(super) fn take(&self, message: &ReceivedMessage<'_>, receipt: Receipt, batch: &mut Batch) -> bool {
        let (publish, aside) = (&message.publish, &mut batch.aside);
        if self.records {
            write_message(publish, message.received, MessageJsonOptions::default(), &mut aside.lines);
            aside.lines.push(b'\n');
        }
        if self.files {
            aside.file(FiledMessage {
                topic: publish.topic.to_owned(),
                payload: publish.payload.to_vec(),
                received: message.received,
            });
        }
        let Some(run) = &self.run else { return false };
        aside.run(Job::new(publish, run.template.fill(publish), receipt));
        true
    }

    /// A message that is taken and has no copies. True when its receipt waits for the commands of those before it: the
    /// order of acknowledgements is that of the messages (MQTT-4.6.0-2).
    pub(super) fn pass(&self, receipt: Receipt, batch: &mut Batch) -> bool {
        if self.run.is_some() {
            batch.aside.run(Job::passing(receipt));
        }
        self.run.is_some()
    }
}
