//! Reading JSON, and more: numbers in any form that `strtod` takes, unless the setting forbids
//! it, and text behind a NUL. Nesting costs no recursion; it is bounded by the setting and, as
//! in Redis, by the slots of Lua's stack that each level would take there.

use mlua::{Error, LuaString, MultiValue, Table, Value};

use super::{Config, number, only};
use crate::script::lib::call::{Call, STACK_SLOTS, one, raise};
use crate::script::lib::levels::{Level, Levels};

pub(super) fn decode(call: &Call<'_>, config: &mut Config) -> mlua::Result<MultiValue> {
    only(call)?;
    let text = call.string(1)?;
    let text = text.as_bytes();
    if matches!(&text[..], [0, _, ..] | [_, 0, ..]) {
        return Err(raise(
            call.lua,
            "JSON parser does not support UTF-16 or UTF-32",
        ));
    }
    let mut decoder = Decoder {
        call,
        invalid_numbers: config.decode_invalid,
        deepest: usize::try_from(config.decode_depth).unwrap_or(0),
        data: &text,
        at: 0,
        text: Vec::new(),
        depth: 0,
        slots: 1,
    };
    let value = decoder.document()?;
    let (token, at) = decoder.next();
    match token {
        Token::End => one(value),
        _ => Err(decoder.unexpected("the end", &token, at)),
    }
}

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is in the decoder.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        }
    }
}

struct Decoder<'a> {
    call: &'a Call<'a>,
    invalid_numbers: bool,
    deepest: usize,
    data: &'a [u8],
    at: usize,
    /// The string read last.
    text: Vec<u8>,
    depth: usize,
    /// Slots of the stack that the open tables keep.
    slots: usize,
}

impl<'a> Decoder<'a> {
    fn document(&mut self) -> mlua::Result<Value> {
        let mut levels = Levels::new(self.call.lua);
        let mut open: Option<Level> = None;
        let mut token = self.next();
        loop {
            let mut value = match token.0 {
                Token::String => Value::String(self.string()?),
                Token::Number(n) => Value::Number(n),
                Token::Boolean(truth) => Value::Boolean(truth),
                Token::Null => Value::NULL,
                Token::ObjectBegin | Token::ArrayBegin => {
                    let map = matches!(token.0, Token::ObjectBegin);
                    let table = self.descend(map)?;
                    token = self.next();
                    match (map, &token.0) {
                        (true, Token::ObjectEnd) | (false, Token::ArrayEnd) => {
                            self.ascend(map);
                            Value::Table(table)
                        }
                        _ => {
                            if let Some(outer) = open.take() {
                                levels.push(outer)?;
                            }
                            let mut key = Value::Nil;
                            if map {
                                key = self.key(&token)?;
                                token = self.next();
                            }
                            open = Some(Level {
                                table,
                                key,
                                at: 1,
                                len: 0,
                                map,
                            });
                            continue;
                        }
                    }
                }
                _ => return Err(self.unexpected("value", &token.0, token.1)),
            };
            // What a value ends may in turn be the last value of what encloses it.
            loop {
                let Some(level) = &mut open else {
                    return Ok(value);
                };
                if level.map {
                    let key = std::mem::replace(&mut level.key, Value::Nil);
                    level.table.raw_set(key, value)?;
                } else {
                    level.table.raw_set(level.at, value)?;
                    level.at += 1;
                }
                let (what, at) = self.next();
                match (level.map, &what) {
                    (true, Token::ObjectEnd) | (false, Token::ArrayEnd) => {
                        self.ascend(level.map);
                        value = Value::Table(level.table.clone());
                        open = levels.pop()?;
                    }
                    (map, Token::Comma) => {
                        token = self.next();
                        if map {
                            level.key = self.key(&token)?;
                            token = self.next();
                        }
                        break;
                    }
                    (true, _) => return Err(self.unexpected("comma or object end", &what, at)),
                    (false, _) => return Err(self.unexpected("comma or array end", &what, at)),
                }
            }
        }
    }

    fn string(&self) -> mlua::Result<LuaString> {
        self.call.lua.create_string(&self.text)
    }

    /// A key with the colon behind it.
    fn key(&mut self, token: &(Token, usize)) -> mlua::Result<Value> {
        let Token::String = token.0 else {
            return Err(self.unexpected("object key string", &token.0, token.1));
        };
        let key = self.string()?;
        match self.next() {
            (Token::Colon, _) => Ok(Value::String(key)),
            (other, at) => Err(self.unexpected("colon", &other, at)),
        }
    }

    fn unexpected(&self, expected: &str, found: &Token, at: usize) -> Error {
        let found = found.name();
        let at = at + 1;
        raise(
            self.call.lua,
            format!("Expected {expected} but found {found} at character {at}"),
        )
    }

    fn descend(&mut self, map: bool) -> mlua::Result<Table> {
        self.depth += 1;
        // Its own slot, and those of a key and a value, or of a value.
        let needed = if map { 3 } else { 2 };
        if self.depth > self.deepest || self.slots + needed > STACK_SLOTS {
            let (depth, at) = (self.depth, self.at);
            return Err(raise(
                self.call.lua,
                format!("Found too many nested data structures ({depth}) at character {at}"),
            ));
        }
        self.slots += needed - 1;
        self.call.lua.create_table()
    }

    fn ascend(&mut self, map: bool) {
        self.depth -= 1;
        self.slots -= if map { 2 } else { 1 };
    }

    /// The byte so many places ahead; behind the text there is a NUL.
    fn ahead(&self, places: usize) -> u8 {
        let at = self.at.checked_add(places);
        at.and_then(|at| self.data.get(at)).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// The next token, and where it begins or where it is wrong.
    fn next(&mut self) -> (Token, usize) {
        while matches!(self.ahead(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        let at = self.at;
        let token = match self.ahead(0) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            0 => return (Token::End, at),
            b'"' => {
                return match self.quoted() {
                    Ok(()) => (Token::String, at),
                    Err(what) => (Token::Error(what), self.at),
                };
            }
            b'-' | b'0'..=b'9' if !self.invalid_numbers && self.is_invalid_number() => {
                return (Token::Error("invalid number"), at);
            }
            b'-' | b'0'..=b'9' => return (self.number(), at),
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return (self.word(), at),
            _ => return (Token::Error("invalid token"), at),
        };
        self.at += 1;
        (token, at)
    }

    fn word(&mut self) -> Token {
        for (word, token) in [
            ("true", Token::Boolean(true)),
            ("false", Token::Boolean(false)),
            ("null", Token::Null),
        ] {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                return token;
            }
        }
        if self.invalid_numbers && self.is_invalid_number() {
            return self.number();
        }
        Token::Error("invalid token")
    }

    fn number(&mut self) -> Token {
        match number::read(self.rest()) {
            Some((value, len)) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    /// Whether what follows is a number that JSON does not know.
    fn is_invalid_number(&self) -> bool {
        let rest = match self.rest() {
            [b'+', ..] => return true,
            [b'-', rest @ ..] => rest,
            rest => rest,
        };
        match rest {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            _ => rest.get(..3).is_some_and(|word| {
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }),
        }
    }

    /// Reads a string; on an error the place is where it is.
    fn quoted(&mut self) -> Result<(), &'static str> {
        self.at += 1;
        self.text.clear();
        loop {
            let rest = self.rest();
            let plain = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0))
                .unwrap_or(rest.len());
            self.text
                .extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.ahead(0) {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                _ => return Err("unexpected end of string"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        let byte = match self.ahead(1) {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 0x0c,
            b'r' => b'\r',
            b'u' => {
                let (letter, len) = self.code_point().ok_or("invalid unicode escape code")?;
                let mut buffer = [0; 4];
                let letter = letter.encode_utf8(&mut buffer);
                self.text.extend_from_slice(letter.as_bytes());
                self.at += len;
                return Ok(());
            }
            _ => return Err("invalid escape code"),
        };
        self.text.push(byte);
        self.at += 2;
        Ok(())
    }

    /// The character of one escape, or of the two of a surrogate pair, and their length.
    fn code_point(&self) -> Option<(char, usize)> {
        let first = self.hex(2)?;
        if first & 0xf800 != 0xd800 {
            return Some((char::from_u32(first)?, 6));
        }
        if first & 0x400 != 0 || (self.ahead(6), self.ahead(7)) != (b'\\', b'u') {
            return None;
        }
        let second = self.hex(8)?;
        if second & 0xfc00 != 0xdc00 {
            return None;
        }
        let point = ((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000;
        Some((char::from_u32(point)?, 12))
    }

    /// Four hexadecimal digits.
    fn hex(&self, places: usize) -> Option<u32> {
        (places..places + 4).try_fold(0, |number, at| {
            Some(number << 4 | char::from(self.ahead(at)).to_digit(16)?)
        })
    }
}
