use super::*;
use crate::value::stream::StreamId;
use crate::value::zset::AddFlags;
use crate::value::{Hash, List, Set, Stream, StreamLimits, Zset};
use basalt_formats::rdb::{ObjectType, RdbError, Reader, open_payload};
use proptest::prelude::*;

fn restore(payload: &[u8], limits: &Limits) -> Result<Value, LoadError> {
    let mut reader = Reader::new(open_payload(payload, true).expect("a sound payload"));
    let kind = ObjectType::from_byte(reader.byte()?)?;
    load(kind, &mut reader, limits)
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn encoding(value: &Value) -> &'static str {
    match value {
        Value::Str(_) => "string",
        value => value.encoding(),
    }
}

const PAYLOADS: &str = concat!(
    include_str!("../../../../formats/tests/corpus/dump/payloads-r2.6.17.tsv"),
    include_str!("../../../../formats/tests/corpus/dump/payloads-r3.2.13.tsv"),
    include_str!("../../../../formats/tests/corpus/dump/payloads-r5.0.14.tsv"),
    include_str!("../../../../formats/tests/corpus/dump/payloads-r7.0.15.tsv"),
    include_str!("../../../../formats/tests/corpus/dump/payloads-r7.2.4.tsv"),
    include_str!("../../../../formats/tests/corpus/dump/payloads-v81.tsv"),
);
const BAD: &str = include_str!("../../../../formats/tests/corpus/dump/bad_payloads.tsv");

/// Payloads of many servers load with the encoding they have in Redis 7.2.4; one that came
/// from there in a packed or list encoding is dumped to the same bytes.
#[test]
fn payloads_of_other_servers() {
    let (mut loaded, mut same) = (0, 0);
    for row in PAYLOADS.lines().filter(|row| !row.starts_with("type\t")) {
        let [kind, made_as, key, maker, payload, wanted, json] =
            row.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("seven columns: {row}");
        };
        let what = format!("{kind} {made_as} {key} of {maker}");
        let payload = unhex(payload);
        let value = restore(&payload, &Limits::default()).expect(&what);
        match kind {
            "string" => assert_eq!(encoding(&value), "string", "{what}"),
            _ => assert_eq!(encoding(&value), wanted, "{what}"),
        }
        check_content(&value, json, &what);
        loaded += 1;
        let ordered = matches!(made_as, "listpack" | "intset" | "skiplist") || kind == "list";
        // What is worth compressing, and how, each compressor decides for itself.
        let compressed = payload.contains(&0xc3);
        if maker == "redis 7.2.4" && made_as == wanted && ordered && !compressed {
            assert_eq!(dump(Content::Value(&value), false), payload, "{what}");
            same += 1;
        }
    }
    assert!(
        loaded > 300 && same > 10,
        "{loaded} loaded, {same} the same"
    );
}

/// The entries of a stream, each in one piece.
fn entries(stream: &Stream) -> Vec<Vec<u8>> {
    stream
        .range(StreamId::MIN, StreamId::MAX)
        .map(|entry| {
            let words = entry.pairs().flat_map(|(f, v)| [f.to_vec(), v.to_vec()]);
            [
                entry.id.to_string().into_bytes(),
                words.collect::<Vec<_>>().concat(),
            ]
            .concat()
        })
        .collect()
}

/// Compares with the JSON column where it holds the value itself.
fn check_content(value: &Value, json: &str, what: &str) {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut texts = Vec::new();
    match value {
        Value::Str(bytes) => texts.push(hex(bytes)),
        Value::List(list) => list.iter().for_each(|e| texts.push(hex(&e.to_vec()))),
        Value::Set(set) => set.for_each(|e| texts.push(hex(e))),
        Value::Hash(hash) => hash.for_each(|f, v| texts.extend([hex(f), hex(v)])),
        Value::Zset(zset) => zset.visit(0..zset.len(), false, &mut |m, _| texts.push(hex(m))),
        Value::Stream(stream) => texts.extend(entries(stream).iter().map(|e| hex(e))),
    }
    if json.contains("sha256") {
        let count = json
            .split("\"count\":")
            .nth(1)
            .and_then(|rest| rest.split(',').next());
        let len = match value {
            Value::Hash(hash) => hash.len(),
            Value::Str(bytes) => bytes.len(),
            _ => texts.len(),
        };
        assert_eq!(count, Some(len.to_string().as_str()), "{what}");
        return;
    }
    let mut wanted: Vec<_> = json
        .split(['"', '[', ']', ','])
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    match value {
        Value::List(_) => {}
        Value::Zset(_) => wanted = wanted.into_iter().step_by(2).collect(),
        Value::Str(bytes) if bytes.is_empty() => wanted.push(String::new()),
        _ => {}
    }
    if !matches!(value, Value::List(_) | Value::Str(_)) {
        texts.sort_unstable();
        wanted.sort_unstable();
    }
    assert_eq!(texts, wanted, "{what}");
}

/// Damaged payloads are refused where Redis refuses them when it looks closely.
#[test]
fn damaged_payloads() {
    for row in BAD.lines().skip(1) {
        let columns: Vec<_> = row.split('\t').collect();
        let payload = unhex(columns[1]);
        let answer = match open_payload(&payload, true) {
            Err(_) => "-ERR DUMP payload version or checksum are wrong",
            Ok(_) => match restore(&payload, &Limits::default()) {
                Err(_) => "-ERR Bad data format",
                Ok(_) => "+OK",
            },
        };
        assert_eq!(answer, columns[2], "{}", columns[0]);
    }
}

fn body(kind: ObjectType, bytes: &[u8]) -> Result<Value, LoadError> {
    load(kind, &mut Reader::new(bytes), &Limits::default())
}

#[test]
fn repeated_elements_are_refused() {
    let refused = |kind, bytes: &[u8]| {
        assert_eq!(body(kind, bytes).err(), Some(LoadError::NotDistinct(kind)));
    };
    refused(ObjectType::Set, b"\x02\x01a\x01a");
    refused(ObjectType::Set, b"\x02\xc0\x01\xc0\x01");
    refused(ObjectType::Hash, b"\x02\x01a\x011\x01a\x012");
    let long = [&b"\x03\x01a\x011\x01a\x012\x01b\x40\x50"[..], &[b'x'; 80]].concat();
    refused(ObjectType::Hash, &long);
    refused(
        ObjectType::HashZipmap,
        b"\x0c\x02\x01a\x01\x000\x01a\x01\x001\xff",
    );
    let mut list = basalt_formats::packed::Listpack::new();
    for element in ["1", "2", "1"] {
        list.push_back(element.as_bytes());
    }
    let mut writer = Writer::new(false);
    writer.string(list.as_bytes());
    refused(ObjectType::SetListpack, writer.as_bytes());
    refused(ObjectType::HashListpack, writer.as_bytes());
    assert!(body(ObjectType::ZsetListpack, writer.as_bytes()).is_err());
    assert_eq!(
        body(
            ObjectType::ListQuicklist2,
            b"\x01\x02\x07\x07\0\0\0\0\0\xff"
        )
        .err(),
        Some(LoadError::Rdb(RdbError::Empty))
    );
}

#[test]
fn limits_of_the_loader_decide() {
    let mut hash = Hash::default();
    let mut set = Set::default();
    let mut zset = Zset::new();
    let limits = Limits::default();
    for n in 0..20 {
        let text = format!("element{n}");
        hash.set(text.as_bytes(), b"1", &limits.hash);
        set.add(text.as_bytes(), &limits.set);
        zset.add(
            &limits.zset,
            f64::from(n),
            text.as_bytes(),
            AddFlags::default(),
        );
    }
    let mut small = limits;
    small.hash.max_listpack_entries = 10;
    small.set.max_listpack_entries = 10;
    small.zset.max_listpack_entries = 10;
    for (value, big) in [
        (Value::Hash(Arc::new(hash)), "hashtable"),
        (Value::Set(Arc::new(set)), "hashtable"),
        (Value::Zset(Arc::new(zset)), "skiplist"),
    ] {
        let payload = dump(Content::Value(&value), true);
        let converted = restore(&payload, &small).unwrap();
        assert_eq!(encoding(&converted), big);
        let payload = dump(Content::Value(&converted), true);
        assert_eq!(encoding(&restore(&payload, &limits).unwrap()), "listpack");
    }
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<i16>().prop_map(|n| n.to_string().into_bytes()),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(0..3u8, 60..80),
    ]
}

fn contents(value: &Value) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    match value {
        Value::Str(bytes) => all.push(bytes.to_vec()),
        Value::List(list) => all.extend(list.iter().map(|e| e.to_vec())),
        Value::Set(set) => set.for_each(|e| all.push(e.to_vec())),
        Value::Hash(hash) => hash.for_each(|f, v| all.extend([f.to_vec(), v.to_vec()])),
        Value::Zset(zset) => zset.visit(0..zset.len(), false, &mut |m, score| {
            all.extend([m.to_vec(), score.to_le_bytes().to_vec()]);
        }),
        Value::Stream(stream) => all.extend(entries(stream)),
    }
    all
}

proptest! {
    #[test]
    fn values_come_back(
        elements in prop::collection::vec(element(), 1..200),
        fill in prop_oneof![Just(-2), Just(-1), 1..50i32],
        threshold in prop_oneof![Just(0usize), 30..70usize],
    ) {
        let mut limits = Limits::default();
        limits.list.max_listpack_size = fill;
        limits.list.packed_threshold = threshold;
        let mut hash = Hash::default();
        let mut set = Set::default();
        let mut zset = Zset::new();
        for (n, pair) in elements.windows(2).enumerate() {
            hash.set(&pair[0], &pair[1], &limits.hash);
            zset.add(&limits.zset, n as f64 / 4.0, &pair[0], AddFlags::default());
        }
        for element in &elements {
            set.add(element, &limits.set);
        }
        let mut stream = Stream::default();
        let nodes = StreamLimits { node_max_entries: 7, ..StreamLimits::default() };
        for (n, pair) in (1..).zip(elements.windows(2)) {
            stream.add(&nodes, StreamId::new(n * n, 5), &[&pair[0], &pair[1]]);
        }
        stream.delete(&[StreamId::new(4, 5)]);
        hash.set(b"one", b"1", &limits.hash);
        zset.add(&limits.zset, f64::INFINITY, b"one", AddFlags::default());
        for value in [
            Value::Str(Arc::new(elements[0].clone())),
            Value::List(Arc::new(List::from_values(&limits.list, &elements))),
            Value::Set(Arc::new(set)),
            Value::Hash(Arc::new(hash)),
            Value::Zset(Arc::new(zset)),
            Value::Stream(Arc::new(stream)),
        ] {
            for compress in [false, true] {
                let payload = dump(Content::Value(&value), compress);
                let back = restore(&payload, &limits).unwrap();
                prop_assert_eq!(back.encoding(), value.encoding());
                prop_assert_eq!(contents(&back), contents(&value));
                prop_assert_eq!(dump(Content::Value(&back), compress), payload);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_safe(
        row in 1..340usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut rows = PAYLOADS.lines().filter(|row| !row.starts_with("type\t"));
        let row = rows.nth(row).expect("as many rows");
        let payload = unhex(row.split('\t').nth(4).expect("a payload"));
        let mut value = payload[..payload.len() - 10].to_vec();
        for (at, byte) in changes {
            let at = at.index(value.len());
            value[at] = byte;
        }
        let mut reader = Reader::new(&value);
        if let Ok(kind) = reader.byte().and_then(ObjectType::from_byte)
            && let Ok(value) = load(kind, &mut reader, &Limits::default())
        {
            let _ = dump(Content::Value(&value), true);
        }
    }
}
