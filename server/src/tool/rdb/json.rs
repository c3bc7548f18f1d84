//! A little JSON, for what is printed with `--json`.

use std::fmt::Write;

/// An object or array that grows.
#[derive(Debug)]
pub struct Json {
    text: String,
    close: char,
}

/// A string with quotes.
pub fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\x1f' | '\x7f' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

/// Bytes as hexadecimal digits, with quotes.
pub fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

impl Json {
    /// An object without members.
    pub fn object() -> Self {
        Self {
            text: "{".into(),
            close: '}',
        }
    }

    /// An array without elements.
    pub fn array() -> Self {
        Self {
            text: "[".into(),
            close: ']',
        }
    }

    fn comma(&mut self) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
    }

    /// Adds an element, which is JSON.
    pub fn push(&mut self, value: &str) {
        self.comma();
        self.text.push_str(value);
    }

    /// Adds a member, whose value is JSON.
    pub fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        self.comma();
        let _ = write!(self.text, "{}:{value}", string(name));
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.text.push(self.close);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!(string("a\"\\\n\u{e4}"), "\"a\\\"\\\\\\u000a\u{e4}\"");
        assert_eq!(hex(b"\x00\xff"), "\"00ff\"");
        let mut object = Json::object();
        object.put("one", 1);
        let mut array = Json::array();
        array.push("true");
        array.push("\"x\"");
        object.put("list", array.finish());
        assert_eq!(object.finish(), r#"{"one":1,"list":[true,"x"]}"#);
        assert_eq!(Json::array().finish(), "[]");
    }
}
