//! How a message becomes bytes on stdout: plain, by a template of `-F`, or as our JSON object; and the two screens of
//! `--watch` and `--message-rate`. Everything appends to a buffer; nothing here writes to a stream.

mod mosquitto_json;
mod render;
mod screen;
mod template;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, IsTerminal as _};

pub(crate) use screen::{MessageRate, MosquittoWatch, TopicScreen};
pub use template::{MAX_TOTAL_WIDTH, Template, TemplateError};

use super::ReceivedMessage;
use crate::client::Policy;
use crate::message_json::{JsonLayout, MessageJsonOptions, write_message};
use crate::terminal::{escape_json_tail, escape_tail};

/// What is shown of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// The payload; nothing at all, not even a line end, where it is empty.
    #[default]
    Payload,
    /// `-v`: topic, blank, payload; `(null)` stands for an empty one.
    TopicAndPayload,
    /// `-F`: as the template describes.
    Template(Template),
    /// `--json`: the object of [`crate::message_json`].
    Json {
        /// `--json-payload`: a payload that is JSON stands as such.
        json_payload: bool,
    },
}

/// What of a message is escaped, so that nothing in it acts on the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escapes {
    /// Nothing: stdout gets every byte as it came.
    #[default]
    Nothing,
    /// Topic and properties; a payload may be meant for the terminal.
    Metadata,
    /// The payload too, where a screen is to keep its shape.
    Everything,
}

/// Prints messages in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printer {
    /// What is shown.
    pub style: Style,
    /// Whether a line end follows each message; `-N` turns it off.
    pub newline: bool,
    /// `--pretty`: JSON over several lines.
    pub pretty: bool,
    /// What is escaped.
    pub escapes: Escapes,
}

impl Default for Printer {
    fn default() -> Self {
        Self { style: Style::default(), newline: true, pretty: false, escapes: Escapes::Nothing }
    }
}

impl Printer {
    /// Escapes what a terminal would act on, where stdout is one, as far as `escapes` and the policy ask for it.
    #[must_use]
    pub fn on_stdout(self, policy: &Policy, escapes: Escapes) -> Self {
        let escapes = if policy.escapes_terminal && io::stdout().is_terminal() { escapes } else { self.escapes };
        Self { escapes, ..self }
    }

    /// Appends a message to `out`. What the template asked for and the message could not give comes back, for stderr;
    /// the rest of the line is printed all the same.
    pub fn print(&self, message: &ReceivedMessage<'_>, out: &mut Vec<u8>) -> Vec<RenderFault> {
        let payload = message.publish.payload;
        let mut faults = Vec::new(); // allocates nothing while it is empty
        match &self.style {
            Style::Payload if payload.is_empty() => return faults,
            Style::Payload => self.payload(payload, out),
            // mosquitto's rule: without a line end an empty payload shows nothing, not even its topic.
            Style::TopicAndPayload if payload.is_empty() && !self.newline => return faults,
            Style::TopicAndPayload => {
                out.reserve(message.publish.topic.len() + payload.len() + 8);
                let start = out.len();
                out.extend_from_slice(message.publish.topic.as_bytes());
                if self.escapes != Escapes::Nothing {
                    escape_tail(out, start);
                }
                out.push(b' ');
                self.payload(if payload.is_empty() { b"(null)" } else { payload }, out);
            }
            Style::Template(template) => faults = template.render(message, self.pretty, self.escapes, out),
            Style::Json { json_payload } => {
                let layout = if self.pretty { JsonLayout::Indented } else { JsonLayout::Line };
                let options = MessageJsonOptions { layout, json_payload: *json_payload, latency: message.latency };
                let start = out.len();
                write_message(&message.publish, message.received, options, out);
                // A payload that stands as it came.
                if *json_payload && self.escapes != Escapes::Nothing {
                    escape_json_tail(out, start);
                }
            }
        }
        if self.newline {
            out.push(b'\n');
        }
        faults
    }

    fn payload(&self, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(payload);
        if self.escapes == Escapes::Everything {
            escape_tail(out, start);
        }
    }
}

/// What a template asked for and a message could not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderFault {
    /// `%f` and a payload that is not four bytes.
    NotAFloat,
    /// `%d` and a payload that is not eight bytes.
    NotADouble,
    /// `%J` and a payload that is not JSON.
    NotJson {
        /// The topic it came on.
        topic: String,
    },
}

impl fmt::Display for RenderFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFloat => formatter.write_str("requested float printing, but non-float data received"),
            Self::NotADouble => formatter.write_str("requested double printing, but non-double data received"),
            Self::NotJson { topic } => write!(formatter, "Message payload is not valid JSON on topic {topic}."),
        }
    }
}

impl RenderFault {
    /// The bytes mosquitto_sub puts on stderr: the float faults without "Error: " and without a line end.
    pub fn mosquitto_text(&self) -> String {
        match self {
            Self::NotAFloat | Self::NotADouble => self.to_string(),
            Self::NotJson { .. } => format!("Error: {self}\n"),
        }
    }
}
