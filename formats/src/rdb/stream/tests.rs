use super::*;
use proptest::prelude::*;

/// Two nodes with a deleted entry, a group with two consumers of which one has two entries,
/// and a group that read nothing: the value within a `DUMP` of Redis 7.2.4.
const VALUE: &str = "0210000000000000000500000000000000014054540000001f00030101010201816102816202000102010001\
    0001010181780205010301000101010201817902050100010201dfff0201018163028568656c6c6f06060102\
    01c3e302dfff02c12c02dff9020501ff1000000000000003e9000000000000000028280000000f0002010001\
    01018161020001020100010001c12c020401020101010001c12d020401ff0543ea0005010502060205656d70\
    747943ea0081ffffffffffffffff0000016743e80081ffffffffffffffff0200000000000000070000000000\
    0000001aba93ffa10100000100000000000003e800000000000000001aba93ffa1010000010205616c696365\
    1aba93ffa10100001aba93ffa1010000020000000000000007000000000000000000000000000003e8000000\
    000000000003626f621cba93ffa1010000ffffffffffffffff00";

const NOW: i64 = 0x01a1_ff93_ba1a;

const KINDS: [ObjectType; 3] = [
    ObjectType::StreamListpacks,
    ObjectType::StreamListpacks2,
    ObjectType::StreamListpacks3,
];

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn read(kind: ObjectType, bytes: &[u8]) -> Result<StreamBody, RdbError> {
    let mut reader = Reader::new(bytes);
    let body = StreamBody::read(kind, &mut reader)?;
    assert_eq!(reader.left(), 0);
    Ok(body)
}

fn write(kind: ObjectType, body: &StreamBody) -> Vec<u8> {
    let mut writer = Writer::new(false);
    body.write(kind, &mut writer);
    writer.into_bytes()
}

fn sample() -> StreamBody {
    read(ObjectType::StreamListpacks3, &unhex(VALUE)).expect("a stream")
}

#[test]
fn what_redis_wrote() {
    let body = sample();
    let id = StreamId::new;
    let masters: Vec<_> = body.nodes.iter().map(|(id, _)| *id).collect();
    assert_eq!(masters, [id(5, 1), id(1001, 0)]);
    let history = StreamHistory {
        first_id: id(5, 1),
        max_deleted_id: id(5, 2),
        entries_added: 6,
    };
    let meta = StreamMeta {
        length: 5,
        last_id: id(1002, 0),
        history: Some(history),
    };
    assert_eq!(body.meta, meta);
    let [empty, group] = &body.groups[..] else {
        panic!("two groups");
    };
    assert_eq!(
        (&empty.name[..], empty.last_id),
        (&b"empty"[..], id(1002, 0))
    );
    assert_eq!(empty.entries_read, Some(-1));
    assert!(empty.pending.is_empty() && empty.consumers.is_empty());
    let pending = |id| StreamPending {
        id,
        delivery_ms: NOW,
        delivery_count: 1,
        consumer: 0,
    };
    assert_eq!(group.pending, [pending(id(7, 0)), pending(id(1000, 0))]);
    let consumer = |name: &str, seen_ms, active_ms| StreamConsumer {
        name: name.into(),
        seen_ms,
        active_ms,
    };
    assert_eq!(
        group.consumers,
        [consumer("alice", NOW, NOW), consumer("bob", NOW + 2, -1)]
    );
    assert_eq!(write(ObjectType::StreamListpacks3, &body), unhex(VALUE));
}

#[test]
fn older_types_leave_things_out() {
    let mut body = sample();
    body.groups[1].consumers[1].active_ms = NOW + 2;
    let second = write(ObjectType::StreamListpacks2, &body);
    assert_eq!(
        read(ObjectType::StreamListpacks2, &second),
        Ok(body.clone())
    );
    body.meta.history = None;
    body.groups
        .iter_mut()
        .for_each(|group| group.entries_read = None);
    let first = write(ObjectType::StreamListpacks, &body);
    assert_eq!(read(ObjectType::StreamListpacks, &first), Ok(body));
    assert!(first.len() < second.len());
}

#[test]
fn an_empty_stream() {
    let body = StreamBody::default();
    let bytes = write(ObjectType::StreamListpacks, &body);
    assert_eq!(bytes, [0; 5]);
    assert_eq!(read(ObjectType::StreamListpacks, &bytes), Ok(body));
}

#[test]
fn parts_that_do_not_fit() {
    let fault = |change: &dyn Fn(&mut StreamBody)| {
        let mut body = sample();
        change(&mut body);
        let bytes = write(ObjectType::StreamListpacks3, &body);
        read(ObjectType::StreamListpacks3, &bytes).map(|_| ())
    };
    assert_eq!(fault(&|_| ()), Ok(()));
    let stream = |fault: StreamFault| Err(RdbError::Stream(fault));
    let twice = |body: &mut StreamBody| body.nodes[1].0 = body.nodes[0].0;
    assert_eq!(fault(&twice), stream(StreamFault::DuplicateNode));
    let none = |body: &mut StreamBody| body.nodes.clear();
    assert_eq!(fault(&none), stream(StreamFault::LengthWithoutNodes));
    let named = |body: &mut StreamBody| body.groups[0].name = b"g".to_vec();
    assert_eq!(fault(&named), stream(StreamFault::DuplicateGroup));
    let pending = |body: &mut StreamBody| body.groups[1].pending[1].id = StreamId::new(7, 0);
    assert_eq!(fault(&pending), stream(StreamFault::DuplicatePending));
    let consumers = |body: &mut StreamBody| body.groups[1].consumers[1].name = b"alice".to_vec();
    assert_eq!(fault(&consumers), stream(StreamFault::DuplicateConsumer));
    let nobody = |body: &mut StreamBody| body.groups[1].pending[0].consumer = usize::MAX;
    assert_eq!(fault(&nobody), stream(StreamFault::NoConsumer));

    let mut group = Writer::new(false);
    let kind = ObjectType::StreamListpacks3;
    group.stream_group(kind, b"g", StreamId::MIN, 0);
    group.len(1);
    group.stream_pending(StreamId::new(1, 1), 0, 1);
    group.len(2);
    let consumer = |writer: &Writer, ids: [u64; 2]| {
        let mut bytes = writer.as_bytes().to_vec();
        for (name, ms) in [b"a", b"b"].into_iter().zip(ids) {
            let mut writer = Writer::new(false);
            writer.stream_consumer(kind, name, 0, 0);
            writer.len(1);
            writer.stream_id(StreamId::new(ms, 1));
            bytes.extend(writer.into_bytes());
        }
        read_group(kind, &mut Reader::new(&bytes)).map(|_| ())
    };
    assert_eq!(consumer(&group, [1, 2]), stream(StreamFault::NotPending));
    // An entry of two consumers could not be acknowledged by either alone.
    let two = consumer(&group, [1, 1]);
    assert_eq!(two, stream(StreamFault::DuplicatePending));

    let short = read(kind, b"\x01\x0fabcdefghijklmno\x00");
    assert_eq!(short, Err(StreamFault::NodeKey.into()));
}

/// Nodes and pending entries are brought in order.
#[test]
fn order_is_restored() {
    let mut body = sample();
    let wanted = body.clone();
    body.nodes.reverse();
    body.groups[1].pending.reverse();
    for kind in KINDS {
        let read = read(kind, &write(kind, &body)).expect("a stream");
        assert_eq!(read.nodes, wanted.nodes);
        assert_eq!(read.groups[1].pending, wanted.groups[1].pending);
    }
}

proptest! {
    #[test]
    fn damaged_streams_are_safe(
        kind in prop::sample::select(&KINDS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = write(kind, &sample());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(3) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(body) = StreamBody::read(kind, &mut Reader::new(&bytes)) {
            let again = write(kind, &body);
            prop_assert_eq!(read(kind, &again), Ok(body));
        }
    }
}
