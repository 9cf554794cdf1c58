//! What `--filter`, `--expect` and `--until` ask of a message: a jq expression about its JSON object, a regular
//! expression in the payload, or the payload itself.

use std::fmt;

use regex_bites::bytes::{Regex, RegexBuilder};

use super::ReceivedMessage;
use super::jq::Program;
use super::jq_process::{JqProcess, SentTo};
use crate::message_json::{MessageJsonOptions, write_message};

/// An expression, compiled. No jq expression begins with `/` or `=`.
#[derive(Clone)]
pub struct Expression {
    text: String,
    test: Test,
}

#[derive(Clone)]
enum Test {
    /// Anything else.
    Jq,
    /// `/REGEX/` or `/REGEX/i`.
    Regex(Regex),
    /// `=TEXT`.
    Exact,
}

/// A message that expressions are asked about. The process for jq gets it once.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    message: &'a ReceivedMessage<'a>,
    sent: SentTo,
}

impl<'a> Subject<'a> {
    pub(super) fn new(message: &'a ReceivedMessage<'a>) -> Self {
        Self { message, sent: SentTo::default() }
    }

    pub(super) const fn message(&self) -> &'a ReceivedMessage<'a> {
        self.message
    }

    /// Appends the object that a jq expression is about.
    fn write_object(&self, out: &mut Vec<u8>) {
        write_message(&self.message.publish, self.message.received, MessageJsonOptions::default(), out);
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn compile(text: &str) -> Result<Self, String> {
        let test = match text.as_bytes().first() {
            None => return Err("an expression cannot be empty; '=' alone matches an empty payload".into()),
            Some(b'=') => Test::Exact,
            Some(b'/') => Test::Regex(regex(text)?),
            Some(_) => {
                Program::check(text)?;
                Test::Jq
            }
        };
        Ok(Self { text: text.to_owned(), test })
    }

    /// As typed.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it needs a [`JqProcess`].
    pub(super) const fn is_jq(&self) -> bool {
        matches!(self.test, Test::Jq)
    }

    /// Whether the message is as the expression says.
    ///
    /// # Errors
    /// Why a jq expression has no result for this message.
    pub(super) fn matches(&self, subject: &Subject<'_>, jq: &mut JqProcess) -> Result<bool, String> {
        let payload = subject.message.publish.payload;
        match &self.test {
            Test::Jq => jq.is_true(&self.text, &subject.sent, |out| subject.write_object(out)),
            Test::Regex(regex) => Ok(regex.is_match(payload)),
            Test::Exact => Ok(self.text.as_bytes().get(1..) == Some(payload)),
        }
    }
}

/// The program of jq and the tables of a regular expression are not shown.
impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

fn regex(text: &str) -> Result<Regex, String> {
    let end = text.rfind('/').filter(|end| *end > 0);
    let (Some(pattern), flags) = (end.and_then(|end| text.get(1..end)), end.and_then(|end| text.get(end + 1..))) else {
        return Err("a regular expression stands between two slashes, as in '/^on|off$/'".into());
    };
    let ignores_case = match flags.unwrap_or_default() {
        "" => false,
        "i" => true,
        _ => return Err("after the last slash of a regular expression only i may stand, which ignores case".into()),
    };
    let compiled = RegexBuilder::new(pattern).case_insensitive(ignores_case).build();
    compiled.map_err(|error| format!("the regular expression is not valid: {error}\n  {text}"))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::jq;
    use super::*;
    use crate::mqtt::Message;
    use crate::mqtt::wire::Publish;

    /// A jq expression is asked here, without its process.
    fn matches(expression: &str, topic: &str, payload: &[u8]) -> Result<bool, String> {
        jq::on_stack(|| {
            let message =
                Message { topic: topic.into(), payload: payload.to_vec().into(), retain: true, ..Message::default() };
            let received = DateTime::parse_from_rfc3339("2026-11-21T04:00:42+00:00").unwrap();
            let message = ReceivedMessage::new(Publish::of(&message, 0, false), received);
            let (subject, compiled) = (Subject::new(&message), Expression::compile(expression).unwrap());
            if !compiled.is_jq() {
                return compiled.matches(&subject, &mut JqProcess::default());
            }
            let mut object = Vec::new();
            subject.write_object(&mut object);
            Program::compile(expression).unwrap().is_true(&jq::value(&object))
        })
    }

    #[test]
    fn jq_sees_the_object_of_the_message() {
        for (expression, matched) in [
            (r#".topic == "a/b""#, true),
            (".retain and .qos == 0", true),
            (".ts == 1795233642", true),
            (r#".payload == "{\"t\":30.5}""#, true),
            (".payload_json.t > 30", true),
            (".payload_json.t > 30.5", false),
            ("(.payload | fromjson).t == 30.5", true),
            (".payload_json | has(\"t\")", true),
            ("select(.qos == 1)", false),
            (".none", false),
            ("false, null, 1", true),
            (".properties", false),
            (".topic | test(\"^A/\"; \"i\")", true),
            (".topic | split(\"/\") | .[1] == \"b\"", true),
            ("[range(3)] == [0,1,2]", true),
            ("[range(3;0;-1)] == [3,2,1]", true),
            ("any(.payload_json[]; . > 30)", true),
            ("now > 0", true),
        ] {
            assert_eq!(matches(expression, "a/b", br#"{"t":30.5}"#), Ok(matched), "{expression}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let payload = br#"{"id":12345678901234567890123,"x":0.1000}"#;
        assert_eq!(matches(".payload_json.id == 12345678901234567890123", "t", payload), Ok(true));
        assert_eq!(matches(".payload_json.id == 12345678901234567890124", "t", payload), Ok(false));
        assert_eq!(matches("(.payload_json.x | tostring) == \"0.1000\"", "t", payload), Ok(true));
    }

    #[test]
    fn a_payload_that_is_not_json_fails_an_expression_about_it() {
        for payload in [&b"offline"[..], b"", b"\xff", b"{", b"NaN"] {
            // Without that, null would be below every number.
            assert!(matches(".payload_json.t < 30", "t", payload).is_err(), "{payload:?}");
            assert!(matches("(.payload | fromjson).t < 30", "t", payload).is_err(), "{payload:?}");
            assert_eq!(matches(".topic == \"t\"", "t", payload), Ok(true));
        }
        assert!(matches(".payload_json.a.b", "t", b"{\"a\":1}").unwrap_err().contains("index"));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(matches(".payload | fromjson", "t", deep.as_bytes()).is_err());
    }

    #[test]
    fn programs_have_bounds() {
        // Those without a cause end, one way or the other, and take no more stack than there is.
        for (program, cause) in [
            ("def f: f; f", "100000 steps"),
            ("def f: 1 + f; f", "too deeply"),
            ("def f: [f]; f", "too deeply"),
            ("last(repeat(1))", "100000 steps"),
            ("[range(1e12)]", "100000 steps"),
            ("reduce range(1e12) as $x (0; .)", "100000 steps"),
            ("last(range(0; 1; 0))", "100000 steps"),
            ("[limit(1e12; repeat(0))]", "100000 steps"),
            ("until(false; .)", "100000 steps"),
            ("reduce range(2000) as $x (1; [.]) | [..] | length", ""),
            ("reduce range(20000) as $x (1; [.]) | tojson", ""),
            ("reduce range(20000) as $x (1; [.]) | . == 1", ""),
            ("reduce range(20000) as $x (1; {a: .}) | . == [.]", ""),
        ] {
            let ended = matches(program, "t", b"1");
            match cause {
                "" => {}
                _ => assert!(ended.as_ref().is_err_and(|error| error.contains(cause)), "{program}: {ended:?}"),
            }
        }
    }

    #[test]
    fn nothing_outside_is_within_reach() {
        for program in ["env", "$ENV", "input", "inputs", "halt", "halt_error", "debug", "stderr", "input_filename"] {
            let error = Expression::compile(program).unwrap_err();
            assert!(error.contains("there is no"), "{program}: {error}");
        }
        assert!(Expression::compile("import \"a\" as a; a::b").unwrap_err().contains("modules"));
        assert!(Expression::compile("include \"a\"; .").unwrap_err().contains("modules"));
    }

    #[test]
    fn a_wrong_expression_shows_the_place() {
        for (expression, fault) in [
            (".a >", "expected term at its end\n  .a >\n      ^"),
            (".a | nope(1)", "there is no filter nope\n  .a | nope(1)\n       ^"),
            (".a == $x", "there is no variable $x\n  .a == $x\n        ^"),
            (".a == \"x", "expected closing quote at its end\n  .a == \"x\n          ^"),
            ("(.a", "expected closing parenthesis at its end\n  (.a\n     ^"),
            ("/abc", "a regular expression stands between two slashes, as in '/^on|off$/'"),
            ("/a/x", "after the last slash of a regular expression only i may stand, which ignores case"),
            ("", "an expression cannot be empty; '=' alone matches an empty payload"),
        ] {
            assert_eq!(Expression::compile(expression).map(|_| ()), Err(fault.to_owned()), "{expression}");
        }
        let error = Expression::compile("/a(b/").unwrap_err();
        let fault = "the regular expression is not valid: found open group without closing ')'\n  /a(b/";
        assert_eq!(error, fault);
        for nested in ["(", "[", "{a:", "if ", "-", "try ", "def f: ", ". as $x | "] {
            assert!(Expression::compile(&nested.repeat(16_000 / nested.len())).is_err(), "{nested}");
        }
        assert!(Expression::compile(&"1".repeat(20_000)).is_err());
        assert!(Expression::compile("/((a{999}){999}){999}/").unwrap_err().contains("size limit"));
        for nested in ["(", "[", "(?:a|", "((a{9}){9}){9}"] {
            assert!(Expression::compile(&format!("/{}/", nested.repeat(16_000 / nested.len()))).is_err(), "{nested}");
        }
    }

    #[test]
    fn regular_expressions_and_texts_are_about_the_payload() {
        for (expression, payload, matched) in [
            ("/^on|off$/", &b"on"[..], true),
            ("/^on|off$/", b"turned off", true),
            ("/ON/", b"on", false),
            ("/ON/i", b"on", true),
            ("/a/b/", b"xa/bx", true),
            ("//", b"", true),
            ("/^\\d+$/", b"12x", false),
            ("/^..$/", "한국".as_bytes(), true),
            ("/^[가-힣]+$/", "한국".as_bytes(), true),
            ("/한국|Ü/i", "ü 한국".as_bytes(), true),
            ("/^a.c/", b"a\xffc", true),
            ("/c$/", b"a\xffc", true),
            ("=on", b"on", true),
            ("=on", b"on ", false),
            ("=", b"", true),
            ("=", b"x", false),
            ("==", b"=", true),
        ] {
            assert_eq!(matches(expression, "t", payload), Ok(matched), "{expression}");
        }
    }
}
