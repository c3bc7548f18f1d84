use super::*;
use proptest::prelude::*;

type Outcome = (Vec<Vec<u8>>, usize);

fn one(buf: &[u8], limits: &Limits) -> Result<Option<Outcome>, ProtocolError> {
    let mut req = Request::new();
    Ok(match Decoder::new().decode(buf, &mut req, limits)? {
        Progress::Complete { consumed } => {
            let args = req.iter(buf).map(<[u8]>::to_vec).collect();
            Some((args, consumed))
        }
        Progress::Empty { consumed } => Some((Vec::new(), consumed)),
        Progress::NeedMore { hint } => {
            assert!(hint > buf.len());
            None
        }
    })
}

fn ok(buf: &[u8]) -> Outcome {
    one(buf, &Limits::default())
        .expect("valid")
        .expect("complete")
}

fn text(buf: &[u8], limits: &Limits) -> String {
    one(buf, limits).expect_err("refused").to_string()
}

#[test]
fn multibulk() {
    let (args, consumed) = ok(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n");
    assert_eq!(args, [b"GET".to_vec(), b"k".to_vec()]);
    assert_eq!(consumed, 20);
    assert_eq!(ok(b"*1\r\n$0\r\n\r\n").0, [Vec::<u8>::new()]);
    for empty in [&b"*0\r\n"[..], b"*-1\r\n", b"*-99\r\n", b"\r\n", b"\n"] {
        assert_eq!(ok(empty), (vec![], empty.len()));
    }
}

#[test]
fn bytes_after_cr_are_skipped_unread() {
    assert_eq!(ok(b"*1\rX$2\rYabZZ").0, [b"ab".to_vec()]);
}

#[test]
fn inline() {
    assert_eq!(ok(b"PING\n"), (vec![b"PING".to_vec()], 5));
    assert_eq!(ok(b"PING\r\n"), (vec![b"PING".to_vec()], 6));
    let (args, consumed) = ok(b"set k \"a\\x00b\"\r\nnext");
    assert_eq!(args, [b"set".to_vec(), b"k".to_vec(), b"a\0b".to_vec()]);
    assert_eq!(consumed, 16);
    // A lone CR before the first byte belongs to the line end only if it is
    // not the line's first byte being the newline itself.
    assert_eq!(ok(b"\r\n"), (vec![], 2));
}

#[test]
fn errors_have_the_exact_texts() {
    let open = Limits::default();
    let shut = Limits::new(DEFAULT_MAX_BULK, false);
    let cases: &[(&[u8], &str)] = &[
        (b"a \"b\r\n", "unbalanced quotes in request"),
        (b"*a\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*2147483648\r\n", "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n+3\r\n", "expected '$', got '+'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$a\r\n", "invalid bulk length"),
        (b"*1\r\n$01\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
    ];
    for (bytes, expected) in cases {
        assert_eq!(text(bytes, &open), *expected);
    }
    assert_eq!(text(b"*11\r\n", &shut), "unauthenticated multibulk length");
    assert_eq!(
        text(b"*1\r\n$16385\r\n", &shut),
        "unauthenticated bulk length"
    );
    assert_eq!(
        one(b"*1\r\n$16384\r\n", &shut),
        Ok(None),
        "the limit itself is allowed"
    );
    assert_eq!(one(b"*10\r\n", &shut), Ok(None));
    assert_eq!(one(b"*2147483647\r\n", &open), Ok(None));
    let mut raw = Vec::new();
    ProtocolError::ExpectedBulk(0xe9).append_to(&mut raw);
    assert_eq!(raw, b"expected '$', got '\xe9'");
}

#[test]
fn endless_lines_are_refused() {
    let open = Limits::default();
    let run = |prefix: &[u8], len: usize| {
        let mut buf = prefix.to_vec();
        buf.resize(prefix.len() + len, b'1');
        one(&buf, &open)
    };
    assert_eq!(run(b"", 65536), Ok(None));
    assert_eq!(run(b"", 65537), Err(ProtocolError::InlineTooBig));
    assert_eq!(run(b"*", 65535), Ok(None));
    assert_eq!(run(b"*", 65536), Err(ProtocolError::CountTooBig));
    assert_eq!(run(b"*1\r\n$", 65535), Ok(None));
    assert_eq!(run(b"*1\r\n$", 65536), Err(ProtocolError::BulkHeaderTooBig));
}

#[test]
fn a_nul_hides_the_line_end() {
    assert_eq!(one(b"PI\0NG\r\n", &Limits::default()), Ok(None));
    assert_eq!(one(b"*1\0\r\n", &Limits::default()), Ok(None));
}

#[test]
fn hint_is_the_claimed_bulk() {
    let (mut decoder, mut req) = (Decoder::new(), Request::new());
    let got = decoder.decode(b"*2\r\n$1000\r\nabc", &mut req, &Limits::default());
    assert_eq!(got, Ok(Progress::NeedMore { hint: 11 + 1002 }));
    assert!(!decoder.is_idle());
}

#[test]
fn large_value_in_pieces_is_not_rescanned() {
    let mut wire = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\n".to_vec();
    let start = wire.len();
    wire.resize(start + 1_048_576, b'\r');
    wire.extend_from_slice(b"\r\n");
    let (mut decoder, mut req) = (Decoder::new(), Request::new());
    let mut have = 0;
    loop {
        have = (have + 16384).min(wire.len());
        let got = decoder.decode(&wire[..have], &mut req, &Limits::default());
        if have < wire.len() {
            assert_eq!(got, Ok(Progress::NeedMore { hint: wire.len() }));
            assert_eq!(decoder.scanned, 0);
            assert_eq!(decoder.pos, start);
        } else {
            assert_eq!(got, Ok(Progress::Complete { consumed: have }));
            break;
        }
    }
    assert_eq!(req.get(2, &wire).len(), 1_048_576);
    assert!(decoder.is_idle());
}

#[test]
fn one_request_serves_two_decoders() {
    let (a, b) = (b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"*1\r\n$4\r\nPING\r\n");
    let (mut first, mut second) = (Decoder::new(), Decoder::new());
    let (mut req, open) = (Request::new(), Limits::default());
    let got = first.decode(&a[..12], &mut req, &open);
    assert!(matches!(got, Ok(Progress::NeedMore { .. })));
    let got = second.decode(b, &mut req, &open);
    assert_eq!(got, Ok(Progress::Complete { consumed: 14 }));
    assert_eq!(req.get(0, b), b"PING");
    let got = first.decode(a, &mut req, &open);
    assert_eq!(got, Ok(Progress::Complete { consumed: 18 }));
    let mut args = Vec::new();
    req.fill(a, &mut args);
    assert_eq!(args, [b"a", b"b"]);
}

/// The rules written plainly: whole buffer, no state, no fast path.
fn naive(buf: &[u8], limits: &Limits) -> Result<Option<Outcome>, ProtocolError> {
    fn line(
        buf: &[u8],
        pos: usize,
        limits: &Limits,
        error: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let rest: Vec<u8> = buf[pos..].iter().copied().take_while(|&b| b != 0).collect();
        match rest.iter().position(|&b| b == b'\r') {
            None if buf.len() - pos > limits.max_inline => Err(error),
            Some(at) if pos + at + 2 <= buf.len() => Ok(Some(pos + at)),
            _ => Ok(None),
        }
    }
    let Some(end) = line(buf, 0, limits, ProtocolError::CountTooBig)? else {
        return Ok(None);
    };
    let count = parse_i64(&buf[1..end]).filter(|&n| n <= i64::from(i32::MAX));
    let count = count.ok_or(ProtocolError::InvalidCount)?;
    if count > 10 && !limits.authenticated {
        return Err(ProtocolError::UnauthenticatedCount);
    }
    let (mut pos, mut args) = (end + 2, Vec::new());
    for _ in 0..count.max(0) {
        let Some(end) = line(buf, pos, limits, ProtocolError::BulkHeaderTooBig)? else {
            return Ok(None);
        };
        if buf[pos] != b'$' {
            return Err(ProtocolError::ExpectedBulk(buf[pos]));
        }
        let len = parse_i64(&buf[pos + 1..end]).filter(|&n| n >= 0);
        let len = len.ok_or(ProtocolError::InvalidBulk)? as usize;
        if len > limits.max_bulk {
            return Err(ProtocolError::InvalidBulk);
        }
        if len > 16384 && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        pos = end + 2;
        if pos + len + 2 > buf.len() {
            return Ok(None);
        }
        args.push(buf[pos..pos + len].to_vec());
        pos += len + 2;
    }
    Ok(Some((args, pos)))
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn small() -> impl Strategy<Value = Limits> {
    (1usize..40, 0usize..30, any::<bool>()).prop_map(|(max_inline, max_bulk, authenticated)| {
        Limits {
            max_inline,
            ..Limits::new(max_bulk, authenticated)
        }
    })
}

proptest! {
    #[test]
    fn round_trip(args in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..40), 1..20)) {
        let wire = encode(&args);
        prop_assert_eq!(ok(&wire), (args, wire.len()));
    }

    #[test]
    fn multibulk_is_as_naive(tail in proptest::collection::vec(
        prop::sample::select(&b"*$-+0123\r\r\r\n\n\0ab"[..]), 0..60), limits in small()) {
        let mut buf = b"*".to_vec();
        buf.extend_from_slice(&tail);
        prop_assert_eq!(one(&buf, &limits), naive(&buf, &limits));
    }

    #[test]
    fn damaged_requests_are_as_naive(
        args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..12), 1..6),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
        limits in small()) {
        let mut wire = encode(&args);
        let at = at.index(wire.len() - 1) + 1;
        wire[at] = byte;
        wire.truncate(cut.index(wire.len()) + 1);
        prop_assert_eq!(one(&wire, &limits), naive(&wire, &limits));
    }

    #[test]
    fn pieces_give_the_same_as_the_whole(
        buf in prop_oneof![
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..8)
                .prop_map(|args| encode(&args)),
            proptest::collection::vec(prop::sample::select(&b"*$12\r\n\"'\\ ab\0"[..]), 0..50),
        ],
        step in 1usize..9) {
        // A line may become too long only once whole, so leave lines unlimited.
        let limits = Limits { max_inline: usize::MAX, ..Limits::default() };
        let (mut decoder, mut req) = (Decoder::new(), Request::new());
        let mut have = 0;
        let got = loop {
            have = (have + step).min(buf.len());
            match decoder.decode(&buf[..have], &mut req, &limits) {
                Ok(Progress::NeedMore { .. }) if have < buf.len() => {}
                Ok(Progress::NeedMore { .. }) => break Ok(None),
                Ok(Progress::Complete { consumed }) => {
                    break Ok(Some((req.iter(&buf).map(<[u8]>::to_vec).collect(), consumed)));
                }
                Ok(Progress::Empty { consumed }) => break Ok(Some((Vec::new(), consumed))),
                Err(error) => break Err(error),
            }
        };
        prop_assert_eq!(got, one(&buf, &limits));
    }

    #[test]
    fn any_bytes_do_not_panic(buf in proptest::collection::vec(any::<u8>(), 0..200), limits in small()) {
        let _ = one(&buf, &limits);
    }
}
