//! An access control list: `user`, `topic` and `pattern` lines, as mosquitto's `acl_file`.

use std::borrow::Cow;
use std::collections::HashMap;

use super::AccessFault;
use crate::mqtt::{check_topic_filter, filter_matches};

/// The access that a client requests to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicAccess {
    /// Receive what is published there.
    Read,
    /// Publish there.
    Write,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grant {
    Read,
    Write,
    ReadWrite,
    Deny,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    grant: Grant,
    filter: String,
}

/// Which topics which user may read and write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessControlList {
    /// For clients without a user name: what stands above the first `user` line.
    anonymous: Vec<Rule>,
    users: HashMap<String, Vec<Rule>>,
    /// For every client, with `%c` and `%u` replaced.
    patterns: Vec<Rule>,
}

impl AccessControlList {
    /// Reads a file's text; empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// Every line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, Vec<AccessFault>> {
        let mut list = Self::default();
        let mut faults = Vec::new();
        let mut user: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            // A topic may end with a blank, a line end may be that of Windows.
            let line = line.trim_start().trim_end_matches('\r');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (keyword, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let rest = rest.trim_start();
            let read = match keyword {
                "user" if rest.trim().is_empty() => Err("user: a name is missing".to_owned()),
                "user" => {
                    let name = rest.trim_end().to_owned();
                    list.users.entry(name.clone()).or_default();
                    user = Some(name);
                    Ok(())
                }
                "topic" => rule(rest).map(|rule| match &user {
                    None => list.anonymous.push(rule),
                    Some(user) => list.users.entry(user.clone()).or_default().push(rule),
                }),
                "pattern" => rule(rest).map(|rule| list.patterns.push(rule)),
                _ => Err("a line must begin with user, topic or pattern".to_owned()),
            };
            if let Err(message) = read {
                faults.push(AccessFault { line: index + 1, message });
            }
        }
        if faults.is_empty() { Ok(list) } else { Err(faults) }
    }

    /// Whether a client may read or write a topic. Deny lines take precedence over grants; without a matching grant,
    /// access is denied.
    pub fn allows(&self, access: TopicAccess, user: Option<&str>, client_id: &str, topic: &str) -> bool {
        let none = Vec::new();
        let own = match user {
            None => &self.anonymous,
            Some(user) => self.users.get(user).unwrap_or(&none),
        };
        let own = own.iter().map(|rule| (rule.grant, Cow::Borrowed(rule.filter.as_str())));
        // A name that holds a wildcard or a level separator would widen the pattern.
        let is_safe = |name: &str| !name.contains(['+', '#', '/']);
        let patterns_apply = is_safe(client_id) && user.is_none_or(is_safe);
        let patterns = self.patterns.iter().filter(|_| patterns_apply).filter_map(|rule| {
            let filter = substitute(&rule.filter, user, client_id)?;
            Some((rule.grant, filter))
        });
        let mut is_granted = false;
        for (grant, filter) in own.chain(patterns) {
            if !filter_matches(&filter, topic) {
                continue;
            }
            match (grant, access) {
                (Grant::Deny, _) => return false,
                (Grant::ReadWrite, _) | (Grant::Read, TopicAccess::Read) | (Grant::Write, TopicAccess::Write) => {
                    is_granted = true;
                }
                _ => {}
            }
        }
        is_granted
    }
}

/// `[read|write|readwrite|deny] TOPIC`; without the first word both are granted.
fn rule(rest: &str) -> Result<Rule, String> {
    let (grant, filter) = match rest.split_once(char::is_whitespace) {
        Some(("read", filter)) => (Grant::Read, filter),
        Some(("write", filter)) => (Grant::Write, filter),
        Some(("readwrite", filter)) => (Grant::ReadWrite, filter),
        Some(("deny", filter)) => (Grant::Deny, filter),
        _ => (Grant::ReadWrite, rest),
    };
    let filter = filter.trim_start();
    check_topic_filter(filter).map_err(|error| format!("{filter:?} is not a topic filter: {error}"))?;
    Ok(Rule { grant, filter: filter.to_owned() })
}

/// The filter for this client; none where it needs a user name and there is none.
fn substitute<'a>(pattern: &'a str, user: Option<&str>, client_id: &str) -> Option<Cow<'a, str>> {
    if !pattern.contains('%') {
        return Some(Cow::Borrowed(pattern));
    }
    let levels: Option<Vec<&str>> = pattern
        .split('/')
        .map(|level| match level {
            "%c" => Some(client_id),
            "%u" => user,
            other => Some(other),
        })
        .collect();
    Some(Cow::Owned(levels?.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use TopicAccess::{Read, Write};

    const FILE: &str = "\
# the sensors of a house
topic read open/#

user ann
topic home/ann/#
topic read home/+/state
topic deny home/ann/secret
topic write log with blanks/x

user bob
topic write home/bob/state

pattern readwrite own/%u/%c
pattern read $SYS/clients/%c/#
pattern deny own/+/forbidden
";

    #[test]
    fn lines_grant_and_deny_as_mosquitto_does() {
        let list = AccessControlList::parse(FILE).unwrap();
        let (ann, bob, nobody) = (Some("ann"), Some("bob"), None);
        for (access, user, client, topic, allowed) in [
            (Read, nobody, "c", "open/a", true),
            (Write, nobody, "c", "open/a", false),
            (Read, ann, "c", "open/a", false), // for anonymous clients only
            (Write, ann, "c", "home/ann/x/y", true),
            (Read, ann, "c", "home/ann", true),
            (Read, ann, "c", "home/bob/state", true),
            (Write, ann, "c", "home/bob/state", false),
            (Read, ann, "c", "home/ann/secret", false),
            (Write, ann, "c", "home/ann/secret", false),
            (Write, ann, "c", "log with blanks/x", true),
            (Write, bob, "c", "home/bob/state", true),
            (Read, bob, "c", "home/bob/state", false),
            (Write, bob, "c9", "own/bob/c9", true),
            (Write, bob, "c9", "own/ann/c9", false),
            (Write, nobody, "c9", "own/bob/c9", false),
            (Read, nobody, "c9", "$SYS/clients/c9/up", true),
            (Read, nobody, "c8", "$SYS/clients/c9/up", false),
            (Write, bob, "forbidden", "own/bob/forbidden", false),
            (Write, Some("eve"), "c", "home/ann/x", false),
        ] {
            assert_eq!(list.allows(access, user, client, topic), allowed, "{access:?} {user:?} {client} {topic}");
        }
    }

    #[test]
    fn names_with_wildcards_widen_no_pattern() {
        let list = AccessControlList::parse("pattern own/%u/%c").unwrap();
        for (user, client) in [("#", "c"), ("+", "c"), ("a", "+"), ("a/b", "c"), ("a", "#")] {
            assert!(!list.allows(Write, Some(user), client, "own/victim/c"), "{user} {client}");
            assert!(!list.allows(Read, Some(user), client, &format!("own/{user}/{client}")), "{user} {client}");
        }
    }

    #[test]
    fn every_fault_is_reported_with_its_line() {
        let faults = AccessControlList::parse("topc a\nuser\ntopic read a/#/b\ntopic a\npattern\n").unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3, 5]);
    }
}
