//! The command of `--run` as a template: what a message fills in stays one argument, and never becomes an option.

use crate::mqtt::wire::Publish;
use crate::options::CommandLine;

const KNOWN: &str = "{topic}, {topic[1]}, {qos} and {retain}";
/// Programs whose argument after -c is a script.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh"];

/// A command with placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandTemplate {
    words: Vec<Vec<Piece>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Topic,
    /// A level of the topic, from 0.
    Level(usize),
    Qos,
    Retain,
}

impl CommandTemplate {
    /// Reads the words of a command.
    ///
    /// # Errors
    /// A placeholder that does not exist, or one where it would be dangerous.
    pub(super) fn new(command: &CommandLine) -> Result<Self, String> {
        let words = command.words.iter().map(|word| pieces(word)).collect::<Result<Vec<_>, _>>()?;
        let is_filled = |pieces: &Vec<Piece>| pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)));
        if words.first().is_some_and(is_filled) {
            return Err("the program must not be a placeholder: a message would choose what is run".into());
        }
        let name = |word: &String| word.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        let shell = command.words.iter().position(|word| SHELLS.contains(&name(word).as_str()));
        if let Some(shell) = shell {
            let is_script_option =
                |word: &&String| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
            let script =
                command.words[shell..].iter().position(|word| is_script_option(&word)).map(|at| shell + at + 1);
            if script.and_then(|script| words.get(script)).is_some_and(is_filled) {
                return Err(
                    "a placeholder in a shell's script would run what a message holds: use \"$MQTT_TOPIC\" there, \
                            or \"$1\" with the placeholder as an argument after the script"
                        .into(),
                );
            }
        }
        Ok(Self { words })
    }

    /// The command for a message, or why it is not run.
    pub(super) fn fill(&self, message: &Publish<'_>) -> Result<Vec<String>, String> {
        let mut has_end_of_options = false;
        let mut words = Vec::with_capacity(self.words.len());
        for pieces in &self.words {
            let mut word = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => word.push_str(text),
                    Piece::Topic => word.push_str(message.topic),
                    Piece::Level(level) => match message.topic.split('/').nth(*level) {
                        Some(text) => word.push_str(text),
                        None => return Err(format!("its topic has no level {}", level + 1)),
                    },
                    Piece::Qos => word.push((b'0' + message.qos.number()) as char),
                    Piece::Retain => word.push(if message.retain { '1' } else { '0' }),
                }
            }
            let is_foreign = !matches!(pieces.first(), None | Some(Piece::Text(_)));
            if is_foreign && word.starts_with('-') && !has_end_of_options {
                return Err("its topic would become an option; with -- before the placeholder it would not".into());
            }
            has_end_of_options |= word == "--" && !is_foreign;
            words.push(word);
        }
        Ok(words)
    }
}

fn pieces(word: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((name, length)) = rest.strip_prefix('{').and_then(name_at)
            && rest[length + 1..].starts_with('}')
        {
            // Doubled braces: one pair of them, as text.
            text.push_str(name);
            rest = &rest[length + 2..];
        } else if let Some((name, length)) = name_at(rest) {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(placeholder(name)?);
            rest = &rest[length..];
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// `{name}` or `{name[1]}` at the beginning of a text, with its length.
fn name_at(text: &str) -> Option<(&str, usize)> {
    let end = text.find('}')?;
    let name = text[..end].strip_prefix('{')?;
    let (word, index) = name.split_once('[').unwrap_or((name, "0]"));
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_index = index.strip_suffix(']').is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()));
    (is_word && is_index).then_some((&text[..=end], end + 1))
}

fn placeholder(text: &str) -> Result<Piece, String> {
    let level = text.strip_prefix("{topic[").and_then(|rest| rest.strip_suffix("]}")?.parse::<usize>().ok());
    match (text, level) {
        ("{topic}", _) => Ok(Piece::Topic),
        ("{qos}", _) => Ok(Piece::Qos),
        ("{retain}", _) => Ok(Piece::Retain),
        (_, Some(level @ 1..)) => Ok(Piece::Level(level - 1)),
        ("{payload}", _) => Err("the payload comes on stdin: there is no {payload}".into()),
        _ => Err(format!("there is no {text}: the placeholders are {KNOWN}; as text it is {{{text}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Message, QoS};

    fn template(words: &[&str]) -> Result<CommandTemplate, String> {
        CommandTemplate::new(&CommandLine { words: words.iter().map(|word| (*word).to_owned()).collect() })
    }

    fn fill(words: &[&str], topic: &str) -> Result<Vec<String>, String> {
        let message = Message { topic: topic.into(), qos: QoS::ExactlyOnce, retain: true, ..Message::default() };
        template(words).unwrap().fill(&Publish::of(&message, 1, false))
    }

    #[test]
    fn placeholders_are_filled_and_stay_one_argument() {
        let filled = fill(&["cmd", "t={topic}", "{topic[1]}+{topic[3]}", "{qos}{retain}", "x"], "a b/;rm *\n/$(c)");
        assert_eq!(filled.unwrap(), ["cmd", "t=a b/;rm *\n/$(c)", "a b+$(c)", "21", "x"]);
        assert_eq!(fill(&["cmd", "{topic[2]}"], "a//b").unwrap(), ["cmd", ""]);
        // What a message holds is not read again.
        assert_eq!(fill(&["cmd", "{topic}"], "{qos}").unwrap(), ["cmd", "{qos}"]);
    }

    #[test]
    fn other_braces_are_text() {
        for (word, expected) in [
            ("{{topic}}", "{topic}"),
            ("{{{topic}", "{{t"),
            ("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}"),
            ("{}", "{}"),
            ("{Topic}", "{Topic}"),
            ("{a: .b}", "{a: .b}"),
            ("{", "{"),
            ("}{", "}{"),
            ("ä{topic}ä", "ätä"),
        ] {
            assert_eq!(fill(&["cmd", word], "t").unwrap()[1], expected, "{word}");
        }
    }

    #[test]
    fn wrong_placeholders_are_named() {
        for (words, expected) in [
            (&["cmd", "{topics}"][..], "there is no {topics}"),
            (&["cmd", "{topic[0]}"], "there is no {topic[0]}"),
            (&["cmd", "{payload}"], "on stdin"),
            (&["{topic}"], "the program must not"),
            (&["/bin/{topic[1]}"], "the program must not"),
            (&["sh", "-c", "echo {topic}"], "\"$MQTT_TOPIC\""),
            (&["/bin/bash", "-ec", "echo {topic}"], "\"$MQTT_TOPIC\""),
            (&["env", "A=1", "sh", "-c", "{topic}"], "\"$MQTT_TOPIC\""),
        ] {
            let fault = template(words).unwrap_err();
            assert!(fault.contains(expected), "{words:?}: {fault}");
        }
        assert!(template(&["sh", "-c", "echo \"$1\"", "sh", "{topic}"]).is_ok());
        assert!(template(&["sh", "script.sh", "{topic}"]).is_ok());
    }

    #[test]
    fn a_topic_never_becomes_an_option() {
        assert!(fill(&["rm", "{topic}"], "-rf").is_err());
        assert!(fill(&["rm", "{topic[2]}"], "a/-rf").is_err());
        assert_eq!(fill(&["rm", "--", "{topic}"], "-rf").unwrap()[2], "-rf");
        assert_eq!(fill(&["cmd", "-t{topic}"], "-rf").unwrap()[1], "-t-rf");
        // Not the end of options: the message has brought it.
        assert!(fill(&["cmd", "{topic}", "{topic}"], "--").is_err());
        assert!(fill(&["cmd", "{topic[3]}"], "a/b").unwrap_err().contains("no level 3"));
    }
}
