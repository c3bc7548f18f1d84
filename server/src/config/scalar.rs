//! The simple types of a directive's value: yes/no, numbers, text and bytes.

use super::directive::{Directive, Field, Kind, Lines, ParseState, Reason, single};
use super::text::{format_memory, loose_int_exact, parse_memory, quote, strict_int};

impl Field for bool {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        let text = single(args)?;
        *self = match () {
            () if text.eq_ignore_ascii_case(b"yes") => true,
            () if text.eq_ignore_ascii_case(b"no") => false,
            () => return Err("argument must be 'yes' or 'no'".into()),
        };
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        if *self {
            b"yes".to_vec()
        } else {
            b"no".to_vec()
        }
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(row, self.show(row), self != default)
    }
}

/// Parses a number in the spelling of its kind and checks the bounds.
fn parse_number(kind: Kind, text: &[u8]) -> Result<i128, Reason> {
    let (value, min, max) = match kind {
        Kind::Int(min, max) => {
            let value = strict_int(text).ok_or("argument couldn't be parsed into an integer")?;
            (i128::from(value), min, max)
        }
        Kind::Memory(min, max) => (
            i128::from(parse_memory(text).ok_or("argument must be a memory value")?),
            min,
            max,
        ),
        Kind::Octal(min, max) => match loose_int_exact(text, 8) {
            Some((value, true)) => (i128::from(value), min, max),
            _ => return Err("argument couldn't be parsed as an octal number".into()),
        },
        Kind::MemoryOrPercent(min, max) => {
            if let Some(bytes) = parse_memory(text) {
                (i128::from(bytes), 0, max)
            } else if let Some(percent) = text
                .strip_suffix(b"%")
                .and_then(strict_int)
                .filter(|&p| p >= 0)
            {
                if -i128::from(percent) < min {
                    return Err(
                        format!("percentage argument must be less or equal to {}", -min).into(),
                    );
                }
                return Ok(-i128::from(percent));
            } else {
                return Err("argument must be a memory or percent value".into());
            }
        }
        _ => return Err("argument couldn't be parsed into an integer".into()),
    };
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(match kind {
        Kind::Octal(..) => format!("argument must be between {min:o} and {max:o} inclusive"),
        _ => format!("argument must be between {min} and {max} inclusive"),
    }
    .into())
}

fn show_number(kind: Kind, value: i128) -> String {
    match kind {
        Kind::Octal(..) => format!("{value:o}"),
        Kind::MemoryOrPercent(..) if value < 0 => format!("{}%", -value),
        _ => value.to_string(),
    }
}

fn number_line(row: &Directive, value: i128, force: bool) -> Lines {
    let text = match row.kind {
        Kind::Memory(..) | Kind::MemoryOrPercent(..) if value >= 0 => format_memory(value),
        kind => show_number(kind, value),
    };
    Lines::one(row, text, force)
}

macro_rules! number_fields {
    ($($ty:ty),*) => {$(
        impl Field for $ty {
            fn parse(&mut self, row: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
                let value = parse_number(row.kind, single(args)?)?;
                // The bounds in the table fit the field (a test checks it), so this conversion cannot fail.
                *self = <$ty>::try_from(value).map_err(|_| "argument couldn't be parsed into an integer")?;
                Ok(())
            }

            fn show(&self, row: &Directive) -> Vec<u8> {
                show_number(row.kind, i128::from(*self)).into_bytes()
            }

            fn lines(&self, row: &Directive, default: &Self) -> Lines {
                number_line(row, i128::from(*self), self != default)
            }
        }
    )*};
}
number_fields!(u16, u32, u64, i32, i64);

/// Text from the outside as a string that can name a file.
///
/// Redis cuts a value at a NUL byte; a path that differs from what was asked for is worse than an error.
fn text_of(row: &Directive, bytes: &[u8]) -> Result<String, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| "argument must be valid UTF-8")?;
    if text.contains('\0') {
        return Err("argument must not contain NUL bytes".into());
    }
    if let Kind::Checked(check) = row.kind {
        check(text)?;
    }
    Ok(text.to_owned())
}

impl Field for String {
    fn parse(
        &mut self,
        row: &Directive,
        args: &[Vec<u8>],
        _: &mut ParseState,
    ) -> Result<(), Reason> {
        *self = text_of(row, single(args)?)?;
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.clone().into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(row, quote(self.as_bytes()), self != default)
    }
}

impl Field for Option<String> {
    fn parse(
        &mut self,
        row: &Directive,
        args: &[Vec<u8>],
        _: &mut ParseState,
    ) -> Result<(), Reason> {
        *self = Some(text_of(row, single(args)?)?).filter(|text| !text.is_empty());
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.clone().unwrap_or_default().into_bytes()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        match self {
            Some(text) => Lines::one(row, quote(text.as_bytes()), self != default),
            None => Lines::Remove,
        }
    }
}

impl Field for Vec<u8> {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        *self = single(args)?.to_vec();
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.clone()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        Lines::one(row, quote(self), self != default)
    }
}

impl Field for Option<Vec<u8>> {
    fn parse(&mut self, _: &Directive, args: &[Vec<u8>], _: &mut ParseState) -> Result<(), Reason> {
        *self = Some(single(args)?.to_vec()).filter(|bytes| !bytes.is_empty());
        Ok(())
    }

    fn show(&self, _: &Directive) -> Vec<u8> {
        self.clone().unwrap_or_default()
    }

    fn lines(&self, row: &Directive, default: &Self) -> Lines {
        match self {
            Some(bytes) => Lines::one(row, quote(bytes), self != default),
            None => Lines::Remove,
        }
    }
}
