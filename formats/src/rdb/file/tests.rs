use super::super::samples::payloads;
use super::super::{RdbError, Reader};
use super::*;
use crate::crc64::crc64;

/// A file of this header and these records, with end and checksum.
fn sealed(header: &str, records: &[u8]) -> Vec<u8> {
    let mut file = header.as_bytes().to_vec();
    file.extend_from_slice(records);
    file.push(opcode::EOF);
    file.extend_from_slice(&crc64(0, &file).to_le_bytes());
    file
}

fn fault(input: &[u8]) -> Fault {
    match read(input) {
        Ok(records) => panic!("read: {records:?}"),
        Err(error) => error.fault,
    }
}

fn read(input: &[u8]) -> Result<Vec<Record<'_>>, FileError> {
    let mut reader = FileReader::new(input)?;
    let mut records = Vec::new();
    loop {
        records.push(reader.next_record()?);
        if let Some(Record::Eof { .. }) = records.last() {
            return Ok(records);
        }
    }
}

#[test]
fn headers() {
    let empty = sealed("REDIS0011", b"");
    let reader = FileReader::new(&empty).unwrap();
    assert_eq!(reader.header().to_string(), "REDIS0011");
    assert_eq!(
        FileReader::new(&sealed("VALKEY080", b""))
            .unwrap()
            .header()
            .to_string(),
        "VALKEY080"
    );
    for (header, version) in [
        ("REDIS0000", 0),
        ("REDIS0013", 13),
        ("REDIS0099", 99),
        ("REDIS 011", 0),
        ("REDIS-001", 0),
    ] {
        let magic = Magic::Redis;
        assert_eq!(
            fault(&sealed(header, b"")),
            Fault::BadVersion { magic, version }
        );
    }
    for (header, version) in [("VALKEY011", 11), ("VALKEY081", 81), ("VALKEY0a0", 0)] {
        let magic = Magic::Valkey;
        assert_eq!(
            fault(&sealed(header, b"")),
            Fault::BadVersion { magic, version }
        );
    }
    assert_eq!(fault(&sealed("redis0011", b"")), Fault::BadMagic);
    assert!(fault(b"REDIS001").is_truncated());
    assert!(fault(b"").is_truncated());
}

#[test]
fn records() {
    let mut records = b"\xfa\x03foo\xc0\x07".to_vec();
    records.extend_from_slice(b"\xf5\x03lib\xfe\x02\xfb\x05\x01");
    records.extend_from_slice(b"\xfc\x01\x00\x00\x00\x00\x00\x00\x00\xf8\x40\x50\x00\x01a\x01x");
    records.extend_from_slice(b"\xfd\x02\x00\x00\x00\xf9\x09\x01\x01b\x01\x01y");
    let file = sealed("REDIS0011", &records);
    let text = |text: &'static [u8]| Cow::Borrowed(text);
    let first = KeyRecord {
        key: text(b"a"),
        expire_ms: Some(1),
        idle_s: Some(80),
        freq: None,
        kind: ObjectType::String,
        body: b"\x01x",
        offset: 38,
    };
    let second = KeyRecord {
        key: text(b"b"),
        expire_ms: Some(2000),
        idle_s: None,
        freq: Some(9),
        kind: ObjectType::List,
        body: b"\x01\x01y",
        offset: 50,
    };
    let sum = crc64(0, &file[..file.len() - 8]);
    assert_eq!(
        read(&file).unwrap(),
        [
            Record::Aux {
                key: text(b"foo"),
                value: text(b"7")
            },
            Record::Function(text(b"lib")),
            Record::SelectDb(2),
            Record::ResizeDb {
                keys: 5,
                expires: 1
            },
            Record::Key(first),
            Record::Key(second),
            Record::Eof {
                checksum: Checksum::Good(sum),
                end: file.len()
            },
        ]
    );
}

#[test]
fn attributes_wait_for_a_key() {
    let records = b"\xfc\x05\0\0\0\0\0\0\0\xfe\x01\x00\x01a\x01x\x00\x01b\x01x";
    let file = sealed("REDIS0009", records);
    let expires: Vec<_> = read(&file)
        .unwrap()
        .into_iter()
        .filter_map(|record| match record {
            Record::Key(key) => Some(key.expire_ms),
            _ => None,
        })
        .collect();
    assert_eq!(expires, [Some(5), None]);
    let none = sealed(
        "REDIS0009",
        b"\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x00\x01a\x01x",
    );
    assert!(matches!(&read(&none).unwrap()[0], Record::Key(key) if key.expire_ms.is_none()));
}

#[test]
fn checksums() {
    let good = sealed("REDIS0011", b"\x00\x01a\x01x");
    assert_eq!(check_trailer(&good), Some(Ok(())));
    let mut wrong = good.clone();
    wrong[11] ^= 1;
    assert!(matches!(fault(&wrong), Fault::ChecksumMismatch { .. }));
    assert!(matches!(check_trailer(&wrong), Some(Err(_))));
    let mut reader = FileReader::new(&wrong).unwrap().checksum(false);
    assert!(matches!(reader.next_record(), Ok(Record::Key(_))));
    assert!(matches!(
        reader.next_record(),
        Ok(Record::Eof {
            checksum: Checksum::Unchecked(_),
            ..
        })
    ));
    let (content, _) = good.split_last_chunk::<8>().unwrap();
    let mut zero = content.to_vec();
    zero.extend_from_slice(&[0; 8]);
    zero.extend_from_slice(b"*1\r\n");
    assert_eq!(
        read(&zero).unwrap().last(),
        Some(&Record::Eof {
            checksum: Checksum::Zero,
            end: good.len()
        })
    );
    assert_eq!(check_trailer(&zero), None);
    for end in 0..good.len() {
        assert!(fault(&good[..end]).is_truncated(), "{end}");
    }
}

#[test]
fn versions_without_checksum() {
    let file = b"REDIS0004\x00\x01a\x01x\xff";
    assert_eq!(
        read(file).unwrap().last(),
        Some(&Record::Eof {
            checksum: Checksum::Absent,
            end: file.len()
        })
    );
    // One bit makes version 1 of version 11.
    let mut damaged = sealed("REDIS0011", b"\x00\x01a\x01x");
    damaged[7] ^= 1;
    assert_eq!(fault(&damaged), Fault::UnexpectedTrailer { version: 1 });
    damaged.extend_from_slice(b"more");
    assert_eq!(fault(&damaged), Fault::UnexpectedTrailer { version: 1 });
    let other = [&file[..], b"something else"].concat();
    assert!(read(&other).is_ok());
}

#[test]
fn what_redis_refuses() {
    assert_eq!(
        fault(&sealed("REDIS0011", b"\xf6\x01x")),
        Fault::FunctionPreGa
    );
    assert_eq!(
        fault(&sealed("REDIS0008", b"\x06\x01k\x01")),
        Fault::ModulePreGa
    );
    for byte in [8, 22, 243, 244] {
        assert_eq!(
            fault(&sealed("REDIS0011", &[byte, 1, b'k', 0])),
            Fault::Damaged(RdbError::UnknownType(byte))
        );
    }
    let slot = sealed("REDIS0012", b"\xf4\x05\x02\x01");
    assert!(matches!(
        read(&slot).unwrap()[0],
        Record::SlotInfo {
            slot: 5,
            keys: 2,
            expires: 1
        }
    ));
    assert_eq!(fault(&sealed("VALKEY080", b"\xf3")), Fault::SlotImport);
}

#[test]
fn modules() {
    let id = b"\x81\xb5\xeb\x2d\xff\xfa\xdd\x6c\x01";
    let mut records = b"\xf7".to_vec();
    records.extend_from_slice(id);
    records.extend_from_slice(b"\x02\x01\x05\x01x\x00");
    let aux = sealed("REDIS0011", &records);
    let module = ModuleName::from_id(0xb5eb_2dff_fadd_6c01);
    assert_eq!(module.to_string(), "test__rdb");
    assert_eq!(module.encoding_version(), 1);
    assert_eq!(fault(&aux), Fault::ModuleAux { module });
    let kept = FileReader::new(&aux)
        .unwrap()
        .keep_modules(true)
        .next_record();
    let when = 1;
    let body = &b"\x05\x01x"[..];
    assert_eq!(kept, Ok(Record::ModuleAux { module, when, body }));

    let mut records = b"\x07\x01k".to_vec();
    records.extend_from_slice(id);
    records.extend_from_slice(b"\x01\x05\x02\x05\x03\0\0\0\0\x04\0\0\0\0\0\0\0\0\x05\x01x\x00");
    let value = sealed("REDIS0011", &records);
    assert_eq!(fault(&value), Fault::ModuleValue { module });
    let mut reader = FileReader::new(&value).unwrap().keep_modules(true);
    assert!(matches!(reader.next_record(), Ok(Record::Key(_))));
    assert!(matches!(reader.next_record(), Ok(Record::Eof { .. })));
    let mut bad = b"\xf7".to_vec();
    bad.extend_from_slice(id);
    bad.extend_from_slice(b"\x01\x01\x00");
    assert_eq!(fault(&sealed("REDIS0011", &bad)), Fault::BadWhenOpcode);
}

#[test]
fn claimed_counts_are_compared_with_the_input() {
    for kind in [1u8, 2, 3, 4, 5, 14, 15, 18, 19, 21] {
        let mut records = vec![kind, 1, b'k', 0x81];
        records.extend_from_slice(&(1u64 << 60).to_be_bytes());
        let file = sealed("REDIS0011", &records);
        assert!(fault(&file).is_truncated(), "{kind}");
    }
}

/// The body of a key ends where decoding it ends.
#[test]
fn bodies_are_cut_where_they_end() {
    let mut seen = 0;
    for (row, payload) in payloads() {
        let value = super::super::open_payload(&payload, true).expect(row);
        let (kind, body) = value.split_first().expect("a type");
        let kind = ObjectType::from_byte(*kind).expect(row);
        let mut reader = Reader::new(body);
        super::super::skip_value(kind, &mut reader).expect(row);
        assert_eq!(reader.left(), 0, "{row}");
        for end in 0..body.len().min(200) {
            let mut reader = Reader::new(&body[..end]);
            assert!(super::super::skip_value(kind, &mut reader).is_err());
        }
        seen += 1;
    }
    assert!(seen > 300);
}
