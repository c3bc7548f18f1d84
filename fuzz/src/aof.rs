//! Append-only files: the verdict of the check agrees with what a reader finds, what is to be kept
//! of a torn file is whole, a file that can go on can, and what is salvaged are commands. Files
//! with checksums are damaged too, and the checksum corrected, to get behind it.
//!
//! A checksum line is made right wherever something like one stands: its own checksum, that of its batch, and which line it
//! continues, each or not as the first byte says.

use basalt_formats::aof::{
    AofReader, AofReport, BatchWriter, Check, Form, Header, Lineage, Part, PieceKind, Record,
    Salvage, Verdict, annotation, check, truncate_to_timestamp,
};

use crate::Input;
use crate::alloc::bounded;

/// One case: a byte that says what to do; a file, or commands for one and damage.
pub fn aof(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 8 {
        0 | 1 | 4 | 5 => judge(rest),
        2 | 6 => judge(&batches_of(&mut Input::new(rest))),
        3 => damage(&mut Input::new(rest)),
        _ => {
            let mut file = rest.to_vec();
            seal(&mut file, mode & 8 != 0, mode & 16 != 0);
            judge(&file);
        }
    }
}

/// Makes the checksum lines right. A batch whose length leads out of the file, or to no line, gets the one that leads to the
/// next line if `fit`.
fn seal(file: &mut [u8], chain: bool, fit: bool) {
    let mut prev: Option<[u8; 8]> = None;
    let starts: Vec<usize> = (0..file.len())
        .filter(|at| file[*at..].starts_with(annotation::PREFIX))
        .collect();
    for (number, &at) in starts.iter().enumerate() {
        let length = match file.get(at + annotation::PREFIX.len()) {
            Some(b'h') => annotation::HEADER_BYTES,
            Some(b'b') => annotation::BATCH_BYTES,
            _ => continue,
        };
        let end = at + length;
        let next = starts.get(number + 1).copied().unwrap_or(file.len());
        if end > next {
            continue;
        }
        // The fields end at the same distance from the end of the line in both kinds.
        let (prev_at, check_at) = (end - 19, end - 10);
        if length == annotation::BATCH_BYTES {
            let length_at = at + 35;
            let text = std::str::from_utf8(&file[length_at..length_at + 10]).unwrap_or_default();
            let claimed = usize::from_str_radix(text, 16).unwrap_or(usize::MAX);
            let claimed = match fit {
                true => next - end,
                false => claimed,
            };
            if claimed <= file.len() - end {
                let crc = crc32fast::hash(&file[end..end + claimed]);
                file[end - 28..end - 20].copy_from_slice(format!("{crc:08x}").as_bytes());
                file[length_at..length_at + 10]
                    .copy_from_slice(format!("{claimed:010x}").as_bytes());
            }
            if let (true, Some(prev)) = (chain, prev) {
                file[prev_at..prev_at + 8].copy_from_slice(&prev);
            }
        }
        let check = crc32fast::hash(&file[at..check_at - 1]);
        let check: [u8; 8] = format!("{check:08x}")
            .into_bytes()
            .try_into()
            .expect("8 digits");
        file[check_at..check_at + 8].copy_from_slice(&check);
        prev = Some(check);
    }
}

fn header() -> Header {
    Header {
        part: Part::Incr,
        lineage: Lineage([7; 16]),
        seq: 3,
        first: 40,
        time_ms: 1_700_000_000_000,
        prev: 0,
    }
}

/// Batches of arbitrary bytes with the right checksums.
fn batches_of(input: &mut Input<'_>) -> Vec<u8> {
    let mut writer = BatchWriter::create(&header());
    while !input.is_empty() {
        let db = u32::from(input.byte() / 200);
        let piece = match input.byte() % 4 {
            0 => input.rest(),
            _ => input.bytes(600),
        };
        writer.append_encoded(piece, db);
        writer.close(1_700_000_000_001);
    }
    writer.take()
}

/// All that must hold for any file.
fn judge(file: &[u8]) {
    let report = bounded(file.len(), || check(file));
    assert_eq!(report.size, file.len());
    assert!(report.valid_up_to <= file.len());
    let lax = Check {
        strict_transactions: false,
        ..Check::default()
    };
    match &report.verdict {
        Verdict::Valid => {
            assert_eq!(lax.run(file).verdict, Verdict::Valid);
            whole(file, &report);
            goes_on(file, &report);
        }
        Verdict::TruncatedTail { valid_up_to, .. } => {
            assert_eq!(*valid_up_to, report.valid_up_to);
            let fixed = &file[..*valid_up_to];
            let again = check(fixed);
            assert_eq!(again.verdict, Verdict::Valid, "what is left after cutting");
            assert_eq!(again.valid_up_to, fixed.len());
            goes_on(fixed, &again);
        }
        Verdict::Corrupt {
            offset, next_valid, ..
        } => {
            assert!(*offset <= file.len());
            assert!(next_valid.is_none_or(|next| next < file.len()));
        }
    }
    salvage(file, &report);
    let seconds = [0, 1_700_000_000, i64::MAX];
    for time in report
        .times_ms
        .map_or(seconds, |(a, b)| [a / 1000, b / 1000 - 1, b / 1000])
    {
        if let Ok(Some(end)) = truncate_to_timestamp(file, time) {
            let cut = &file[..end];
            assert_eq!(check(cut).verdict, Verdict::Valid);
            assert_eq!(truncate_to_timestamp(cut, time), Ok(None));
        }
    }
}

/// A valid file is read to its end.
fn whole(file: &[u8], report: &AofReport) {
    assert_eq!(report.valid_up_to, file.len());
    let mut reader = AofReader::at(file, report.preamble_end.unwrap_or(0));
    let mut next = reader.offset();
    loop {
        match reader.next_record() {
            Ok(Some(Record::Command(command))) => {
                assert_eq!(command.offset, next);
                assert!(!command.args.is_empty());
                let within = command.offset..=command.end;
                let mut from = command.offset;
                for arg in command.args {
                    assert!(from < arg.start && within.contains(&arg.end));
                    from = arg.end;
                }
                next = command.end;
            }
            Ok(Some(Record::Annotation(line))) => {
                assert_eq!(line.start, next);
                next = line.end;
            }
            Ok(None) => break,
            Err(error) => panic!("a valid file, and {error}"),
        }
    }
    assert_eq!((next, reader.commands()), (file.len(), report.commands));
    assert_eq!(reader.open_transaction(), None);
}

/// What is appended to a valid file is found there.
fn goes_on(file: &[u8], report: &AofReport) {
    let mut longer = file.to_vec();
    match (report.form, report.chain) {
        (Form::Annotated, Some(chain)) => {
            let mut writer = BatchWriter::resume(chain);
            writer.append(&[b"PING"]);
            writer.close(1_700_000_000_002);
            longer.extend_from_slice(&writer.take());
        }
        (Form::Annotated, None) => return,
        _ => longer.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"),
    }
    let after = check(&longer);
    assert_eq!(after.verdict, Verdict::Valid);
    assert_eq!(after.commands, report.commands + 1);
}

/// What is salvaged are whole commands, in order, and all of a valid file. Put together they are a valid file without
/// checksums, of which in turn nothing is lost.
fn salvage(file: &[u8], report: &AofReport) {
    let (mut end, mut commands) = (0, 0);
    let (mut db, mut selects, mut written) = (0, 0, Vec::new());
    for piece in Salvage::new(file) {
        selects += u64::from(piece.db != db);
        piece.append_to(file, &mut db, &mut written);
        assert!(end <= piece.bytes.start && piece.bytes.start < piece.bytes.end);
        assert!(piece.bytes.end <= file.len());
        end = piece.bytes.end;
        if piece.kind == PieceKind::Preamble {
            continue;
        }
        let bytes = &file[piece.bytes.clone()];
        let mut reader = AofReader::new(bytes);
        while reader.next_record().expect("a piece is whole").is_some() {}
        assert_eq!(reader.commands(), piece.commands);
        assert_eq!(reader.open_transaction(), None);
        commands += piece.commands;
    }
    if report.verdict == Verdict::Valid {
        assert_eq!(commands, report.commands, "of a valid file nothing is lost");
    }
    let after = check(&written);
    assert_eq!(after.verdict, Verdict::Valid, "what was salvaged");
    assert!(after.form != Form::Annotated);
    assert_eq!(after.commands, commands + selects);
    assert_eq!(after.valid_up_to, written.len());
}

/// A file of commands with one piece of damage: never taken for a valid file of other commands.
fn damage(input: &mut Input<'_>) {
    let mut writer = BatchWriter::create(&header());
    let mut ends = vec![0];
    let mut file = Vec::new();
    for _ in 0..=input.below(5) {
        for _ in 0..=input.below(3) {
            match input.below(4) {
                0 => writer.append(&[b"SELECT", &[b'0' + input.byte() % 10]]),
                1 => {
                    writer.append(&[b"MULTI"]);
                    writer.append(&[b"SET", b"k", input.bytes(20)]);
                    writer.append(&[b"EXEC"]);
                }
                _ => writer.append(&[b"SET", input.bytes(9), input.bytes(40)]),
            }
        }
        writer.close(1_700_000_000_003);
        file.extend_from_slice(&writer.take());
        ends.push(file.len());
    }
    assert_eq!(check(&file).verdict, Verdict::Valid);
    judge(&file);
    let at = input.below(file.len());
    let mut bad = file.clone();
    match input.below(4) {
        0 => bad[at] ^= 1 << input.below(8),
        1 => {
            let byte = input.byte();
            bad[at] = if byte == bad[at] { !byte } else { byte };
        }
        2 => {
            bad.remove(at);
        }
        _ => {
            bad.truncate(at);
            let report = check(&bad);
            // A cut at the end of a batch cannot be told from a file that ends there.
            assert!(
                matches!(report.verdict, Verdict::TruncatedTail { .. })
                    || ends.contains(&at)
                    || at == basalt_formats::aof::annotation::HEADER_BYTES,
                "cut at {at}: {:?}",
                report.verdict
            );
            judge(&bad);
            return;
        }
    }
    // A byte removed at the start of a line can make it a comment: what follows is unproven then,
    // but it is the same.
    if check(&bad).verdict == Verdict::Valid {
        assert_eq!(commands(&bad), commands(&file), "damage at {at}");
    }
    judge(&bad);
}

/// The commands of a valid file.
fn commands(file: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut reader, mut all) = (AofReader::new(file), Vec::new());
    while let Some(record) = reader.next_record().expect("a valid file") {
        if let Record::Command(command) = record {
            let args = command.args.iter();
            all.push(args.map(|arg| file[arg.clone()].to_vec()).collect());
        }
    }
    all
}
