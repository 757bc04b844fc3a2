//! How answers are printed: indentation, escapes, envelopes (G-STANDIN-8).

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::errors::ApiError;

/// A finished answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

const JSON: &str = "application/json; charset=UTF-8";

impl Answer {
    pub fn json(body: &impl Serialize, pretty: bool) -> Self {
        Self { status: 200, content_type: JSON, body: print(body, pretty) }
    }

    pub fn empty(status: u16) -> Self {
        Self { status, content_type: "text/html", body: Vec::new() }
    }

    /// Errors are indented whatever was asked for.
    pub fn sheets_error(error: &ApiError, first_format: bool) -> Self {
        let body = if first_format { error.first_format_body() } else { error.sheets_body() };
        Self { status: error.code, content_type: JSON, body: print(&body, true) }
    }

    /// A path that no method has: the front end answers in HTML (G-ERRORS-1).
    pub fn no_route(status: u16) -> Self {
        let body = format!(
            "<!DOCTYPE html>\n<html lang=en>\n<title>Error {status}</title>\n<p>The requested URL was not found on this server.\n"
        );
        Self { status, content_type: "text/html; charset=UTF-8", body: body.into_bytes() }
    }
}

/// Two blanks and a final newline, or compact without one.
pub fn print(body: &impl Serialize, pretty: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    if pretty {
        let formatter = Escaping(PrettyFormatter::new());
        body.serialize(&mut Serializer::with_formatter(&mut out, formatter)).expect("plain data");
        out.push(b'\n');
    } else {
        body.serialize(&mut Serializer::with_formatter(&mut out, Escaping(CompactFormatter))).expect("plain data");
    }
    out
}

/// Escapes as `\uXXXX` what Google escapes beyond what JSON needs (G-STANDIN-8).
struct Escaping<F>(F);

fn is_escaped(c: char) -> bool {
    matches!(c as u32,
        0x3c | 0x3e | 0x7f..=0x9f | 0xad | 0x600..=0x603 | 0x6dd | 0x70f | 0x17b4..=0x17b5 | 0x200b..=0x200f
        | 0x2028..=0x202e | 0x2060..=0x2064 | 0x206a..=0x206f | 0xfeff | 0xfff9..=0xfffb
        | 0x1d173..=0x1d17a | 0xe0001 | 0xe0020..=0xe007f)
}

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly all are, and looking at bytes is far cheaper than at characters.
        let is_plain = |byte: u8| byte < 0x7f && !matches!(byte, b'<' | b'>');
        if fragment.bytes().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(is_escaped) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let c = rest[at..].chars().next().expect("found");
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_array(w)
    }
    fn end_array<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array(w)
    }
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(w, first)
    }
    fn end_array_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_array_value(w)
    }
    fn begin_object<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object(w)
    }
    fn end_object<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object(w)
    }
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, w: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(w, first)
    }
    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.begin_object_value(w)
    }
    fn end_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        self.0.end_object_value(w)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_as_google_does() {
        let text = print(&"a<b> & '\u{feff}\u{e0001}é🌵\u{b}", false);
        assert_eq!(String::from_utf8(text).unwrap(), r#""a\u003cb\u003e & '\ufeff\udb40\udc01é🌵\u000b""#);
    }

    #[test]
    fn indents_by_two_and_ends_in_a_newline() {
        let text = print(&serde_json::json!({"a": [], "b": {"c": 1.5}}), true);
        assert_eq!(String::from_utf8(text).unwrap(), "{\n  \"a\": [],\n  \"b\": {\n    \"c\": 1.5\n  }\n}\n");
    }
}
