//! Writes JSON straight into a byte buffer: no tree in between, no allocation. Commas, line breaks and indentation are
//! kept here, in three layouts; what is written, and in which order, is the caller's.

use std::io::Write as _;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::text::{JsonText, JsonToken};
use crate::terminal::escape_json_tail;

/// The layout of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JsonLayout {
    /// Everything on one line, no blanks.
    #[default]
    Line,
    /// A line a value, two blanks a level.
    Indented,
    /// As mosquitto's `--pretty` shows it (the cJSON library): a line per member, a tab per level and after the colon,
    /// array elements beside each other.
    Tabbed,
}

/// A writer of one JSON document.
pub(crate) struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    layout: JsonLayout,
    depth: usize,
    escapes: bool,
    /// The innermost object or array is still empty.
    first: bool,
}

impl<'a> JsonWriter<'a> {
    /// A writer that appends to `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>, layout: JsonLayout) -> Self {
        Self { out, layout, depth: 0, escapes: false, first: true }
    }

    /// Also escapes what JSON allows and a terminal acts on: C1 control characters, marks that turn the reading
    /// direction.
    #[must_use]
    pub(crate) fn escaping(self) -> Self {
        Self { escapes: true, ..self }
    }

    /// Begins an object.
    pub(crate) fn open_object(&mut self) {
        self.open(b'{');
        if self.layout == JsonLayout::Tabbed {
            self.out.push(b'\n');
        }
    }

    /// Ends the innermost object.
    pub(crate) fn close_object(&mut self) {
        let empty = self.close();
        match self.layout {
            JsonLayout::Line => {}
            JsonLayout::Indented if empty => {}
            JsonLayout::Indented => self.new_line(),
            JsonLayout::Tabbed => {
                // The line break of an empty object was written when it began.
                if !empty {
                    self.out.push(b'\n');
                }
                self.out.extend(std::iter::repeat_n(b'\t', self.depth));
            }
        }
        self.out.push(b'}');
    }

    /// Begins an array.
    pub(crate) fn open_array(&mut self) {
        self.open(b'[');
    }

    /// Ends the innermost array.
    pub(crate) fn close_array(&mut self) {
        let empty = self.close();
        if self.layout == JsonLayout::Indented && !empty {
            self.new_line();
        }
        self.out.push(b']');
    }

    /// Begins a member of an object; its value must follow.
    pub(crate) fn key(&mut self, name: &str) {
        self.begin_key();
        self.string(name);
        self.end_key();
    }

    /// As [`Self::key`], for a key made of a name and an ending.
    pub(crate) fn suffixed_key(&mut self, name: &str, ending: &str) {
        self.begin_key();
        // Property names are plain ASCII; nothing in them needs an escape.
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(ending.as_bytes());
        self.out.push(b'"');
        self.end_key();
    }

    fn begin_key(&mut self) {
        if !self.first {
            self.out.push(b',');
        }
        match self.layout {
            JsonLayout::Line => {}
            JsonLayout::Indented => self.new_line(),
            JsonLayout::Tabbed => {
                if !self.first {
                    self.out.push(b'\n');
                }
                self.out.extend(std::iter::repeat_n(b'\t', self.depth));
            }
        }
        self.first = false;
    }

    fn end_key(&mut self) {
        self.out.extend_from_slice(match self.layout {
            JsonLayout::Line => b":",
            JsonLayout::Indented => b": ",
            JsonLayout::Tabbed => b":\t",
        });
    }

    /// Begins an element of an array; its value must follow.
    pub(crate) fn element(&mut self) {
        if !self.first {
            self.out.extend_from_slice(if self.layout == JsonLayout::Tabbed { b", " } else { b"," });
        }
        if self.layout == JsonLayout::Indented {
            self.new_line();
        }
        self.first = false;
    }

    pub(crate) fn string(&mut self, text: &str) {
        // A Vec takes every write, and a str always serializes.
        let start = self.out.len();
        let _ = serde_json::to_writer(&mut *self.out, text);
        if self.escapes {
            escape_json_tail(self.out, start);
        }
    }

    /// A string that holds the bytes in base64 (RFC 4648 §4, padded).
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        let _ = write!(self.out, "\"{}\"", Base64Display::new(bytes, &STANDARD));
    }

    /// A number that is not negative.
    pub(crate) fn number(&mut self, value: u64) {
        let _ = write!(self.out, "{value}");
    }

    /// Bytes that are a JSON value already.
    pub(crate) fn verbatim(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// The same bytes, for values that are formatted on their way.
    pub(crate) fn verbatim_out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// A document, token by token, in this writer's layout. Strings are written anew; numbers stay as they are, since a
    /// float in between would spoil `12345678901234567890` and `1.50`.
    pub(crate) fn document(&mut self, document: &JsonText<'_>) {
        let mut in_object = Vec::new();
        let mut expect_key = false;
        for token in document.tokens() {
            if !matches!(token, JsonToken::Close(_) | JsonToken::Colon | JsonToken::Comma)
                && in_object.last() == Some(&false)
            {
                self.element();
            }
            match token {
                JsonToken::Open(bracket) => {
                    let object = bracket == b'{';
                    if object {
                        self.open_object()
                    } else {
                        self.open_array()
                    }
                    in_object.push(object);
                    expect_key = object;
                }
                JsonToken::Close(bracket) => {
                    in_object.pop();
                    if bracket == b'}' { self.close_object() } else { self.close_array() }
                }
                JsonToken::Comma => expect_key = in_object.last() == Some(&true),
                JsonToken::Colon => expect_key = false,
                JsonToken::String(text) if expect_key => self.key(&text),
                JsonToken::String(text) => self.string(&text),
                JsonToken::Scalar(text) => self.verbatim(text.as_bytes()),
            }
        }
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        self.first = true;
    }

    /// Leaves a level; whether it was empty.
    fn close(&mut self) -> bool {
        self.depth = self.depth.saturating_sub(1);
        std::mem::replace(&mut self.first, false)
    }

    fn new_line(&mut self) {
        self.out.push(b'\n');
        self.out.extend(std::iter::repeat_n(b' ', 2 * self.depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relaid(layout: JsonLayout, text: &str) -> String {
        let mut out = Vec::new();
        JsonWriter::new(&mut out, layout).document(&JsonText::new(text.as_bytes(), 100).unwrap());
        String::from_utf8(out).unwrap()
    }

    const DOCUMENT: &str =
        r#" {"a" : [1, 2,{"b":"\u00e9\/\u001f"}],"e":{},"f":[ ],"x":1.50,"big":12345678901234567890,"n":null}"#;

    #[test]
    fn a_document_keeps_its_numbers_and_its_order() {
        assert_eq!(
            relaid(JsonLayout::Line, DOCUMENT),
            "{\"a\":[1,2,{\"b\":\"é/\\u001f\"}],\"e\":{},\"f\":[],\"x\":1.50,\"big\":12345678901234567890,\"n\":null}"
        );
        for scalar in ["12", "\"s\"", "[]", "{}", "true", "[[1],[]]", r#"{"a":1,"a":2}"#, r#"{"":""}"#] {
            assert_eq!(relaid(JsonLayout::Line, scalar), scalar);
        }
    }

    #[test]
    fn tabs_stand_where_mosquitto_puts_them() {
        assert_eq!(
            relaid(JsonLayout::Tabbed, DOCUMENT),
            "{\n\t\"a\":\t[1, 2, {\n\t\t\t\"b\":\t\"é/\\u001f\"\n\t\t}],\n\t\"e\":\t{\n\t},\n\t\"f\":\t[],\n\t\"x\":\t1.50,\n\
             \t\"big\":\t12345678901234567890,\n\t\"n\":\tnull\n}"
        );
    }

    #[test]
    fn indentation_is_two_blanks_a_level() {
        assert_eq!(
            relaid(JsonLayout::Indented, r#"{"a":[1,{}],"b":[],"c":{"d":null}}"#),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": {\n    \"d\": null\n  }\n}"
        );
    }
}
