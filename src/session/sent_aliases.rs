//! Topic Aliases that the broker knows from us, on this connection (§3.3.2.3.4).

use crate::mqtt::{Message, PropertyName};

/// Topics by alias, in the order of the aliases.
#[derive(Debug, Default)]
pub(super) struct SentAliases(Vec<(u16, String)>);

/// What a PUBLISH teaches the broker about its alias.
pub(super) enum AliasUpdate {
    /// Nothing.
    Known,
    /// An alias, to be inserted at this index.
    New(usize, u16),
    /// Another topic for the alias at this index.
    Changed(usize),
}

impl SentAliases {
    /// A new connection knows none.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    /// The topic to send with a message of MQTT 5, empty where the broker knows it by the alias, and what the PUBLISH
    /// will teach it.
    pub(super) fn topic_to_send<'a>(&self, message: &'a Message) -> (&'a str, AliasUpdate) {
        let Some(alias) = message.properties.number(PropertyName::TopicAlias) else {
            return (&message.topic, AliasUpdate::Known);
        };
        let alias = alias as u16; // a Two Byte Integer
        match self.0.binary_search_by_key(&alias, |sent| sent.0) {
            Ok(index) if self.0[index].1 == message.topic => ("", AliasUpdate::Known),
            Ok(index) => (&message.topic, AliasUpdate::Changed(index)),
            Err(index) => (&message.topic, AliasUpdate::New(index, alias)),
        }
    }

    /// The PUBLISH is in the output.
    pub(super) fn apply(&mut self, update: AliasUpdate, topic: &str) {
        match update {
            AliasUpdate::Known => {}
            AliasUpdate::New(index, alias) => self.0.insert(index, (alias, topic.to_owned())),
            AliasUpdate::Changed(index) => topic.clone_into(&mut self.0[index].1),
        }
    }
}
