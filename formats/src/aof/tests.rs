//! Every cut and every flipped bit of files as we write them, and files of others.

use proptest::prelude::*;

use super::annotation::{self, BATCH_BYTES, HEADER_BYTES};
use super::*;

/// The commands of a file, each with the database it goes to.
type Commands = Vec<(u32, Vec<Vec<u8>>)>;

const TIME_MS: u64 = 1_763_750_000_000;

fn header() -> Header {
    Header {
        part: Part::Incr,
        lineage: Lineage(*b"sixteen bytes...".as_slice().first_chunk().unwrap()),
        seq: 3,
        first: 41,
        time_ms: TIME_MS,
        prev: 0x0bad_cafe,
    }
}

/// A file of six batches, and where each ends.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let mut writer = BatchWriter::create(&header());
    let mut file = writer.take();
    let mut ends = vec![file.len()];
    let value: Vec<u8> = (0..=255).collect();
    let batches: [&[&[&[u8]]]; 6] = [
        &[
            &[b"SELECT", b"0"],
            &[b"SET", b"key", b"value"],
            &[b"INCR", b"n"],
        ],
        &[
            &[b"MULTI"],
            &[b"SELECT", b"3"],
            &[b"RPUSH", b"list", b"a", b"b"],
            &[b"EXEC"],
        ],
        &[&[b"SET", b"binary", &value], &[b"SET", b"empty", b""]],
        &[&[b"DEL", b"list"]],
        &[
            &[b"SET", b"looks like", b"*1\r\n$4\r\nPING\r\n#BSLT1 b "],
            &[b"multi"],
            &[b"PING"],
            &[b"exec"],
        ],
        &[&[b"SELECT", b"0"], &[b"SET", b"last", &[b'x'; 1500]]],
    ];
    for (number, batch) in batches.iter().enumerate() {
        if number % 2 == 1 {
            let line = annotation::timestamp_line((TIME_MS / 1000) as i64 + number as i64);
            writer.append_encoded(line.as_bytes(), writer.chain().db);
        }
        for command in *batch {
            writer.append(command);
        }
        let closed = writer
            .close(TIME_MS + 1000 * number as u64)
            .expect("closed");
        assert_eq!(closed.index, 41 + number as u64);
        file.extend_from_slice(&writer.take());
        ends.push(file.len());
    }
    (file, ends)
}

fn all_commands(input: &[u8], offset: usize, mut db: u32) -> Commands {
    let mut reader = AofReader::at(input, offset);
    let mut commands = Vec::new();
    while let Some(record) = reader.next_record().expect("well-formed") {
        if let Record::Command(command) = record {
            let args: Vec<Vec<u8>> = command
                .args
                .iter()
                .map(|arg| input[arg.clone()].to_vec())
                .collect();
            if args[0].eq_ignore_ascii_case(b"select") {
                db = std::str::from_utf8(&args[1]).unwrap().parse().unwrap();
            } else {
                commands.push((db, args));
            }
        }
    }
    commands
}

fn salvaged(input: &[u8]) -> Commands {
    salvaged_of(input, &[PieceKind::Proven, PieceKind::Plain])
}

fn salvaged_of(input: &[u8], kinds: &[PieceKind]) -> Commands {
    let mut commands = Vec::new();
    for piece in Salvage::new(input) {
        if kinds.contains(&piece.kind) {
            commands.extend(all_commands(
                &input[..piece.bytes.end],
                piece.bytes.start,
                piece.db,
            ));
        }
    }
    commands
}

/// True if `part` is `whole` with some left out, and each transaction is whole.
fn is_honest_part(part: &Commands, whole: &Commands) -> bool {
    let mut rest = whole.iter();
    let ordered = part
        .iter()
        .all(|command| rest.any(|other| other == command));
    let count = |name: &[u8]| {
        part.iter()
            .filter(|(_, args)| args[0].eq_ignore_ascii_case(name))
            .count()
    };
    let rpush = part.iter().any(|(_, args)| args[0] == b"RPUSH");
    ordered
        && count(b"MULTI") == count(b"EXEC")
        && rpush == part.iter().any(|(_, args)| args[0] == b"MULTI")
}

#[test]
fn a_whole_file() {
    let (file, ends) = sample();
    assert!((2500..3500).contains(&file.len()), "{}", file.len());
    let report = check(&file);
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(
        (report.form, report.header),
        (Form::Annotated, Some(header()))
    );
    assert_eq!(
        (report.batches, report.commands, report.transactions),
        (6, 16, 2)
    );
    assert_eq!(report.valid_up_to, file.len());
    assert_eq!(
        report.times_ms,
        Some((TIME_MS as i64, TIME_MS as i64 + 5000))
    );
    let chain = report.chain.expect("goes on");
    assert_eq!((chain.next_index, chain.db), (47, 0));
    assert_eq!(check(&file[..ends[3]]).chain.map(|chain| chain.db), Some(3));
    assert_eq!(salvaged(&file), all_commands(&file, 0, 0));

    // Writing goes on where it ended.
    let mut writer = BatchWriter::resume(chain);
    writer.append(&[b"SET", b"more", b"1"]);
    writer.close(TIME_MS + 9000);
    let more = [file, writer.take()].concat();
    let report = check(&more);
    assert_eq!((report.verdict, report.batches), (Verdict::Valid, 7));
}

#[test]
fn every_cut_is_a_torn_tail() {
    let (file, ends) = sample();
    for cut in 0..=file.len() {
        let report = check(&file[..cut]);
        let whole = ends
            .iter()
            .copied()
            .filter(|end| *end <= cut)
            .max()
            .unwrap_or(0);
        assert_eq!(report.valid_up_to, whole, "{cut}");
        if cut == whole {
            assert_eq!(report.verdict, Verdict::Valid, "{cut}");
        } else {
            assert!(
                matches!(report.verdict, Verdict::TruncatedTail { valid_up_to, .. } if valid_up_to == whole),
                "{cut}: {:?}",
                report.verdict
            );
        }
        // What is left can go on.
        assert_eq!(report.chain, check(&file[..whole]).chain, "{cut}");
        assert_eq!(report.chain.is_some(), whole > 0, "{cut}");
        assert_eq!(salvaged(&file[..cut]), salvaged(&file[..whole]), "{cut}");
    }
}

#[test]
fn every_flipped_bit_is_damage() {
    let (file, ends) = sample();
    let whole = all_commands(&file, 0, 0);
    let mut kept = 0;
    for bit in 0..file.len() * 8 {
        let mut damaged = file.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let report = check(&damaged);
        let Verdict::Corrupt {
            offset,
            record,
            next_valid,
            ..
        } = report.verdict
        else {
            panic!("bit {bit}: {:?}", report.verdict);
        };
        let batch = ends.iter().position(|end| bit / 8 < *end).expect("within");
        let begins = if batch == 0 { 0 } else { ends[batch - 1] };
        assert!((begins..=bit / 8).contains(&offset), "bit {bit}: {offset}");
        assert_eq!(record, batch.max(1) as u64, "bit {bit}");
        assert_eq!(
            next_valid,
            ends.get(batch).copied().filter(|end| *end < file.len()),
            "bit {bit}"
        );
        assert_eq!(report.valid_up_to, begins, "bit {bit}");
        let part = salvaged(&damaged);
        assert!(is_honest_part(&part, &whole), "bit {bit}: {part:?}");
        kept += part.len();
    }
    // Of the 14 commands that are no SELECT, no flip costs more than a batch of four.
    let mean = kept as f64 / (file.len() * 8) as f64;
    assert!(mean > 10.0, "{mean}");
}

#[test]
fn two_flips_are_damage() {
    let (file, _) = sample();
    let whole = all_commands(&file, 0, 0);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..2000 {
        let mut damaged = file.clone();
        for _ in 0..2 {
            damaged[random(file.len())] ^= 1 << random(8);
        }
        if damaged == file {
            continue;
        }
        assert!(matches!(check(&damaged).verdict, Verdict::Corrupt { .. }));
        let proven = salvaged_of(&damaged, &[PieceKind::Proven]);
        assert!(is_honest_part(&proven, &whole));
    }
}

#[test]
fn batches_removed_repeated_swapped_and_foreign() {
    let (file, ends) = sample();
    let cause = |input: &[u8]| match check(input).verdict {
        Verdict::Corrupt { cause, .. } => cause,
        other => panic!("{other:?}"),
    };
    let batch = |at: usize| &file[ends[at]..ends[at + 1]];
    let start = &file[..ends[1]];
    assert_eq!(
        cause(&[start, batch(2)].concat()),
        Cause::Index {
            expected: 42,
            found: 43
        }
    );
    assert_eq!(
        cause(&[start, batch(1), batch(1)].concat()),
        Cause::Index {
            expected: 43,
            found: 42
        }
    );
    assert_eq!(
        cause(&[start, batch(2), batch(1)].concat()),
        Cause::Index {
            expected: 42,
            found: 43
        }
    );
    let mut other = header();
    other.lineage = Lineage([1; 16]);
    let other = other.to_line().0;
    assert_eq!(
        cause(&[&other[..], &file[HEADER_BYTES..]].concat()),
        Cause::Chain { index: 41 }
    );
    assert_eq!(cause(&[&file[..], &other].concat()), Cause::SecondHeader);
    assert_eq!(cause(&file[HEADER_BYTES..]), Cause::NoHeader);
    // The line of a batch is gone, its commands are not.
    let bare = &batch(1)[BATCH_BYTES..];
    assert_eq!(cause(&[start, bare, batch(2)].concat()), Cause::Unannotated);
    // Bytes in the middle are gone.
    assert_eq!(
        cause(&[&file[..ends[2]], &batch(2)[..100], batch(3)].concat()),
        Cause::BatchCut { index: 43 }
    );
    let plain = b"*1\r\n$4\r\nPING\r\n";
    assert_eq!(cause(&[plain, &file[..]].concat()), Cause::NoHeader);
    // A line that could be ours is that at the end of the file as well.
    let short = [plain, &b"#BSLT\n"[..]].concat();
    assert_eq!(cause(&short), Cause::NoHeader);
    assert_eq!(cause(&[&short, &plain[..]].concat()), Cause::NoHeader);
}

/// A checksum proves that a batch is as it was written: not that what was written were commands.
#[test]
fn batches_that_hold_something_else() {
    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
    for rest in [&b"*1\r\n$4\r\nPI"[..], b"+OK\r\n", b"*0\r\n", b"# cut"] {
        let mut writer = BatchWriter::create(&header());
        writer.append_encoded(&[PING, rest].concat(), 0);
        writer.close(TIME_MS);
        writer.append_encoded(PING, 0);
        writer.close(TIME_MS);
        let file = writer.take();
        assert!(matches!(check(&file).verdict, Verdict::Corrupt { .. }));
        let pieces: Vec<_> = Salvage::new(&file).collect();
        assert_eq!(pieces.len(), 2, "{}", rest.escape_ascii());
        for piece in pieces {
            assert_eq!(&file[piece.bytes], PING, "{}", rest.escape_ascii());
        }
    }
}

/// What is salvaged is a file without checksums: no line is left that would make it one with damaged checksums.
#[test]
fn what_is_salvaged_has_no_checksum_lines() {
    const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
    let (line, _) = header().to_line();
    let mut flipped = line;
    flipped[4] ^= 1;
    let lines: [&[u8]; 6] = [
        &line,
        &flipped,
        b"#BSL\n",
        b"#BSLT1 b what once was one\r\n",
        b"#BS\n",
        b"#\n#LT1 \n",
    ];
    for line in lines {
        // In a batch whose checksum is right, and among commands that have none.
        let mut writer = BatchWriter::create(&header());
        writer.append_encoded(&[PING, line, PING].concat(), 0);
        writer.append_encoded(&[line, b"#TS:5\r\n", PING].concat(), 1);
        writer.close(TIME_MS);
        let proven = writer.take();
        let plain = [PING, line, PING, line, b"#TS:5\r\n", PING].concat();
        for file in [&proven[..], &proven[1..], &plain] {
            let (mut db, mut found, mut written) = (0, 0, Vec::new());
            for piece in Salvage::new(file) {
                piece.append_to(file, &mut db, &mut written);
                found += piece.commands;
            }
            let report = check(&written);
            let text = written.escape_ascii();
            assert_eq!(report.verdict, Verdict::Valid, "{text}");
            assert_ne!(report.form, Form::Annotated, "{text}");
            assert!(found >= 3 && report.commands >= found, "{text}");
            // Without a checksum all up to the next command is lost with a damaged line.
            let time_mark = written.windows(7).any(|part| part == b"#TS:5\r\n");
            assert!(time_mark || file == plain, "{text}");
        }
    }
}

#[test]
fn commands_of_another_server_behind_the_batches() {
    let (file, _) = sample();
    let more = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n#TS:1763760000\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    let input = [&file[..], more].concat();
    let report = check(&input);
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(
        (report.unproven_from, report.chain),
        (Some(file.len()), None)
    );
    assert_eq!(report.commands, 18);
    assert_eq!(salvaged(&input).len(), salvaged(&file).len() + 1);
    let cut = check(&input[..input.len() - 3]);
    assert!(
        matches!(cut.verdict, Verdict::TruncatedTail { valid_up_to, .. } if valid_up_to == file.len() + 23 + 16)
    );
    assert_eq!(cut.chain, None);
}

#[test]
fn blocks_that_were_never_written() {
    let (file, ends) = sample();
    let unwritten = |input: &[u8]| match check(input).verdict {
        Verdict::TruncatedTail {
            valid_up_to,
            cause: TailCause::Unwritten,
        } => Some(valid_up_to),
        _ => None,
    };
    assert_eq!(
        unwritten(&[&file[..], &[0; 700]].concat()),
        Some(file.len())
    );
    // A batch over several blocks, of which one or more are missing, in any place.
    let mut writer = BatchWriter::resume(check(&file).chain.unwrap());
    writer.append(&[b"SET", b"k", &[b'y'; 20_000]]);
    writer.close(TIME_MS);
    let grown = [file.clone(), writer.take()].concat();
    assert_eq!(check(&grown).verdict, Verdict::Valid);
    for block in (0..grown.len()).step_by(4096) {
        for blocks in 1..6 {
            let mut torn = grown.clone();
            let from = block.max(file.len());
            let to = (block + 4096 * blocks).min(torn.len());
            torn[from..to].fill(0);
            assert_eq!(unwritten(&torn), Some(file.len()), "{block} {blocks}");
        }
    }
    // Zeros before other batches are damage.
    let mut damaged = file.clone();
    damaged[ends[2]..ends[3]].fill(0);
    assert!(
        matches!(check(&damaged).verdict, Verdict::Corrupt { next_valid: Some(at), .. } if at == ends[3])
    );
}

const PLAIN: &[u8] = b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n#TS:100\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n#TS:200\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n*1\r\n$4\r\nEXEC\r\n#TS:300\r\n*2\r\n$3\r\nDEL\r\n$1\r\na\r\n";

#[test]
fn plain_files() {
    let report = check(PLAIN);
    assert_eq!((report.verdict, report.form), (Verdict::Valid, Form::Plain));
    assert_eq!((report.commands, report.transactions), (6, 1));
    assert_eq!(report.times_ms, Some((100_000, 300_000)));
    let ends: Vec<usize> = {
        let mut reader = AofReader::new(PLAIN);
        let mut ends = vec![0];
        while reader.next_record().unwrap().is_some() {
            ends.push(reader.valid_up_to());
        }
        ends
    };
    for cut in 0..PLAIN.len() {
        let report = check(&PLAIN[..cut]);
        let valid = ends
            .iter()
            .copied()
            .filter(|end| *end <= cut)
            .max()
            .unwrap_or(0);
        assert_eq!(report.valid_up_to, valid, "{cut}");
        match report.verdict {
            Verdict::Valid => assert_eq!(cut, valid),
            Verdict::TruncatedTail { valid_up_to, .. } => assert_eq!(valid_up_to, valid, "{cut}"),
            other => panic!("{cut}: {other:?}"),
        }
        assert_eq!(
            salvaged(&PLAIN[..cut]),
            all_commands(&PLAIN[..valid], 0, 0),
            "{cut}"
        );
    }
    assert_eq!(check(b"").form, Form::Empty);
    let file = [&preamble::tests::sample()[..], PLAIN].concat();
    let report = check(&file);
    assert_eq!(report.verdict, Verdict::Valid);
    assert_eq!(report.preamble_end, Some(file.len() - PLAIN.len()));
    let pieces: Vec<PieceKind> = Salvage::new(&file).map(|piece| piece.kind).collect();
    assert_eq!(pieces, [PieceKind::Preamble, PieceKind::Plain]);
    assert!(matches!(check(&file[1..]).verdict, Verdict::Corrupt { .. }));
    assert!(matches!(
        check(&file[..20]).verdict,
        Verdict::Corrupt {
            cause: Cause::Preamble(_),
            ..
        }
    ));
}

#[test]
fn damage_in_plain_files() {
    let mut damaged = PLAIN.to_vec();
    // The length of `a` in the first SET: nine bytes more than there are.
    let at = PLAIN
        .windows(3)
        .position(|window| window == b"$1\r")
        .unwrap();
    damaged.splice(at + 1..at + 2, *b"999");
    let Verdict::Corrupt {
        record,
        cause: Cause::LengthBeyondEnd(_),
        next_valid: Some(next),
        ..
    } = check(&damaged).verdict
    else {
        panic!("{:?}", check(&damaged).verdict);
    };
    assert_eq!(record, 1);
    assert!(damaged[next..].starts_with(b"*3\r\n$3\r\nSET"));
    // The SELECT is lost, and that is said.
    let pieces: Vec<Piece> = Salvage::new(&damaged).collect();
    assert_eq!(pieces.len(), 1);
    assert!(!pieces[0].db_is_known);
    // Damage in a transaction drops all of it.
    let inside = PLAIN
        .windows(2)
        .position(|window| window == b"b\r")
        .unwrap();
    let mut damaged = PLAIN.to_vec();
    damaged[inside + 1] = b'x';
    let names: Vec<Vec<u8>> = salvaged(&damaged)
        .into_iter()
        .map(|(_, mut args)| args.swap_remove(0))
        .collect();
    assert_eq!(names, [&b"SET"[..], b"DEL"]);
    // So does damage of its MULTI.
    let multi = PLAIN
        .windows(5)
        .position(|window| window == b"MULTI")
        .unwrap();
    let mut damaged = PLAIN.to_vec();
    damaged[multi - 3] = b'7';
    assert!(matches!(
        check(&damaged).verdict,
        Verdict::Corrupt { record: 3, .. }
    ));
    assert_eq!(salvaged(&damaged).len(), 2);
}

#[test]
fn transactions_out_of_order() {
    let multi = b"*1\r\n$5\r\nMULTI\r\n";
    let ping = b"*1\r\n$4\r\nPING\r\n";
    let exec = b"*1\r\n$4\r\nEXEC\r\n";
    let nested = [&multi[..], multi, ping, exec].concat();
    assert_eq!(
        check(&nested).verdict,
        Verdict::Corrupt {
            offset: 15,
            record: 2,
            cause: Cause::UnexpectedMulti,
            next_valid: Some(30)
        }
    );
    assert_eq!(check(&nested).valid_up_to, 0);
    let loose = Check {
        strict_transactions: false,
        ..Check::default()
    };
    assert_eq!(loose.run(&nested).verdict, Verdict::Valid);
    let stray = [&ping[..], exec].concat();
    assert_eq!(
        check(&stray).verdict,
        Verdict::Corrupt {
            offset: 14,
            record: 2,
            cause: Cause::UnexpectedExec,
            next_valid: None
        }
    );
    let open = [&ping[..], multi, ping].concat();
    let verdict = Verdict::TruncatedTail {
        valid_up_to: 14,
        cause: TailCause::OpenTransaction,
    };
    assert_eq!(check(&open).verdict, verdict);
}

#[test]
fn cut_at_a_time() {
    let at = |seconds| truncate_to_timestamp(PLAIN, seconds);
    let offset = |text: &[u8]| PLAIN.windows(text.len()).position(|window| window == text);
    assert_eq!(at(300), Ok(None));
    assert_eq!(at(299), Ok(offset(b"#TS:300")));
    assert_eq!(at(199), Ok(offset(b"#TS:200")));
    assert_eq!(at(99), Ok(offset(b"#TS:100")));
    assert_eq!(
        truncate_to_timestamp(&PLAIN[23..], 99),
        Err(TimestampError::NothingBefore)
    );
    let invalid = [b"#TS:x\r\n", PLAIN].concat();
    assert_eq!(
        truncate_to_timestamp(&invalid, 1),
        Err(TimestampError::Invalid { offset: 0 })
    );
    let cut = &PLAIN[..PLAIN.len() - 1];
    assert!(matches!(
        truncate_to_timestamp(cut, 400),
        Err(TimestampError::Damaged(_))
    ));
    assert_eq!(truncate_to_timestamp(cut, 299), Ok(offset(b"#TS:300")));
    // A mark within a transaction does not split it.
    let inside = b"*1\r\n$4\r\nPING\r\n*1\r\n$5\r\nMULTI\r\n#TS:5\r\n*1\r\n$4\r\nEXEC\r\n";
    assert_eq!(truncate_to_timestamp(inside, 4), Ok(Some(14)));

    let (file, ends) = sample();
    let seconds = (TIME_MS / 1000) as i64;
    assert_eq!(
        truncate_to_timestamp(&file, seconds - 1),
        Err(TimestampError::NothingBefore)
    );
    for number in 0..5 {
        assert_eq!(
            truncate_to_timestamp(&file, seconds + number),
            Ok(Some(ends[number as usize + 1]))
        );
    }
    assert_eq!(truncate_to_timestamp(&file, seconds + 5), Ok(None));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        batches in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..5), 0..4),
            0..6,
        ),
        bit in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut writer = BatchWriter::create(&header());
        let mut expected = Vec::new();
        for batch in &batches {
            for command in batch {
                let name: &[u8] = if command[0].is_empty() { b"x" } else { &command[0] };
                let mut args = vec![name.to_vec()];
                args.extend_from_slice(&command[1..]);
                writer.append(&args.iter().map(Vec::as_slice).collect::<Vec<_>>());
                expected.push(args);
            }
            writer.close(TIME_MS);
        }
        let file = writer.take();
        let report = check(&file);
        prop_assert_eq!(&report.verdict, &Verdict::Valid);
        let mut reader = AofReader::new(&file);
        let mut found = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            if let Record::Command(command) = record {
                found.push(command.args.iter().map(|arg| file[arg.clone()].to_vec()).collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(&found, &expected);
        let mut damaged = file.clone();
        let bit = bit.index(damaged.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        let is_corrupt = matches!(check(&damaged).verdict, Verdict::Corrupt { .. });
        prop_assert!(is_corrupt);
        let cut = cut.index(file.len());
        let report = check(&file[..cut]);
        let is_corrupt = matches!(report.verdict, Verdict::Corrupt { .. });
        prop_assert!(!is_corrupt);
        prop_assert_eq!(check(&file[..report.valid_up_to]).verdict, Verdict::Valid);
    }

    #[test]
    fn nothing_panics(input: Vec<u8>, text in r"(\*[0-9]{0,3}\r\n|\$[0-9]{0,2}\r\n|MULTI|EXEC|#BSLT1 [hb] |#TS:[0-9]{0,3}\r\n|\r\n|REDIS0011|[a-z]){0,40}") {
        for input in [&input[..], text.as_bytes()] {
            let report = check(input);
            assert!(report.valid_up_to <= input.len());
            let mut end = 0;
            for piece in Salvage::new(input) {
                assert!(piece.bytes.start >= end && piece.bytes.end <= input.len());
                end = piece.bytes.end;
            }
            let _ = truncate_to_timestamp(input, 5);
        }
    }
}
