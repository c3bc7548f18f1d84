//! Finds where something whole begins behind damage.
//!
//! The work is bounded, so that a file made to look like many whole things that are none costs no more than a few readings.

use super::annotation::{self, BATCH_BYTES, Line};
use super::record::{AofReader, Record};

/// The longest name of a command that is believed; the longest of Redis has 20 bytes with its container.
const NAME_MAX: usize = 64;

/// Bytes that may be looked at for one input.
pub(super) fn budget(input: &[u8]) -> usize {
    input.len().saturating_mul(8).saturating_add(1 << 20)
}

fn spend(budget: &mut usize, bytes: usize) -> bool {
    let enough = *budget >= bytes;
    *budget = budget.saturating_sub(bytes);
    enough
}

/// The offset of the next checksum line whose batch is as it was written, from `from` on.
pub(super) fn next_batch(input: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = input.get(at..)?;
        let skipped = rest
            .iter()
            .position(|byte| *byte == annotation::PREFIX[0])?;
        at += skipped;
        if !spend(budget, skipped + 1) {
            return None;
        }
        let rest = input.get(at..)?;
        if let Ok((Line::Batch(line), _)) = annotation::read(rest)
            && let Some(body) = usize::try_from(line.length)
                .ok()
                .and_then(|length| rest.get(BATCH_BYTES..)?.get(..length))
        {
            if !spend(budget, body.len()) {
                return None;
            }
            if crc32fast::hash(body) == line.crc {
                return Some(at);
            }
        }
        at += 1;
    }
}

/// The offset of the next whole command that begins a line and has a believable name, from `from` on. Another, an annotation
/// or the end must follow it.
pub(super) fn next_command(input: &[u8], from: usize, budget: &mut usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = input.get(at..)?;
        let skipped = rest.iter().position(|byte| *byte == b'*')?;
        at += skipped;
        if !spend(budget, skipped + 1) {
            return None;
        }
        let begins_line = at == 0 || input.get(at - 1) == Some(&b'\n');
        if begins_line && is_plausible(input, at, budget) {
            return Some(at);
        }
        at += 1;
    }
}

fn is_plausible(input: &[u8], at: usize, budget: &mut usize) -> bool {
    // A command costs its arguments: their bytes are not looked at.
    let mut reader = AofReader::at(input, at);
    let read = reader.next_record();
    let Ok(Some(Record::Command(command))) = read else {
        let _ = spend(budget, reader.arguments_read().saturating_mul(8));
        return false;
    };
    let name = command
        .args
        .first()
        .and_then(|name| input.get(name.clone()))
        .unwrap_or_default();
    let believable = name.len() <= NAME_MAX
        && name.first().is_some_and(u8::is_ascii_alphabetic)
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._|-".contains(byte));
    let (end, args) = (command.end, command.args.len());
    spend(budget, args.saturating_mul(8))
        && believable
        && matches!(input.get(end), None | Some(b'*' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let find = |input: &[u8]| next_command(input, 1, &mut budget(input));
        assert_eq!(find(b"*1\r\n$4\r\nPING\r\n"), None);
        assert_eq!(find(b"x*1\r\n$4\r\nPING\r\n"), None);
        assert_eq!(find(b"x\n*1\r\n$4\r\nPING\r\n"), Some(2));
        assert_eq!(find(b"x\n*1\r\n$4\r\nPING\r\n*"), Some(2));
        assert_eq!(find(b"x\n*1\r\n$4\r\nPING\r\n$"), None);
        assert_eq!(find(b"x\n*1\r\n$4\r\nP NG\r\n"), None);
        assert_eq!(
            find(b"x\n*1\r\n$4\r\nPINGx\r\n*1\r\n$4\r\nPING\r\n"),
            Some(17)
        );
    }

    #[test]
    fn work_is_bounded() {
        // Each line begins a command with very many arguments, of which all lines behind it are a part.
        let mut input = b"\n".to_vec();
        for _ in 0..20_000 {
            input.extend_from_slice(b"*1000000\r\n$3\r\n\n*1\r\n");
        }
        let mut budget = budget(&input);
        assert_eq!(next_command(&input, 0, &mut budget), None);
        let mut input = b"\n*9000000\r\n".to_vec();
        for _ in 0..100_000 {
            input.extend_from_slice(b"$11\r\n\n*9000000\r\n\r\n");
        }
        let mut budget = super::budget(&input);
        assert_eq!(next_command(&input, 0, &mut budget), None);
    }
}
