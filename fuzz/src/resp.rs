//! Requests and replies: decoding never panics, and the pieces in which bytes arrive do not matter.

use basalt_formats::resp::decode::{Decoder, Limits, Progress, Request};
use basalt_formats::resp::reply;

use crate::alloc::bounded;

/// What came out of a stream: requests, and at the end perhaps an error.
#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<String>,
}

/// Feeds `data` as it would arrive: `pieces` gives the sizes of the reads, over and over.
fn feed(data: &[u8], pieces: &[u8], limits: &Limits) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut decoder, mut request) = (Decoder::new(), Request::new());
    let (mut buffered, mut start, mut read) = (0, 0, 0);
    while buffered < data.len() {
        let piece = pieces
            .get(read % pieces.len().max(1))
            .map_or(data.len(), |&p| usize::from(p) + 1);
        read += 1;
        buffered = (buffered + piece).min(data.len());
        while start < buffered {
            let buf = &data[start..buffered];
            match decoder.decode(buf, &mut request, limits) {
                Ok(Progress::Complete { consumed }) => {
                    assert!(0 < consumed && consumed <= buf.len());
                    outcome
                        .requests
                        .push(request.iter(buf).map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
                Ok(Progress::Empty { consumed }) => {
                    assert!(0 < consumed && consumed <= buf.len());
                    start += consumed;
                }
                Ok(Progress::NeedMore { hint }) => {
                    assert!(hint > buf.len());
                    break;
                }
                Err(error) => {
                    outcome.error = Some(error.to_string());
                    return outcome;
                }
            }
        }
    }
    outcome
}

/// Decodes the bytes whole and in pieces, as requests and as replies.
pub fn resp(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let (pieces, data) = data.split_at(data.len().min(usize::from(flags >> 5)));
    let mut limits = Limits::new(1 << 16, flags & 1 == 0);
    if flags & 2 != 0 {
        limits.max_inline = 64;
        limits.max_args = 16;
    }
    let whole = bounded(data.len() * 32, || feed(data, &[], &limits));
    let parts = feed(data, pieces, &limits);
    // An error found late in a piece may hide requests of the same piece in neither run.
    assert_eq!(
        whole.requests, parts.requests,
        "pieces {pieces:?} of {data:?}"
    );
    // A line that is too long is noticed only while its end is missing: the whole buffer may hold it.
    let too_big = |o: &Outcome| o.error.as_deref().is_some_and(|e| e.contains("too big"));
    if !too_big(&whole) && !too_big(&parts) {
        assert_eq!(whole.error, parts.error, "pieces {pieces:?} of {data:?}");
    }
    let mut rest = data;
    while let Ok(Some((_, consumed))) = reply::parse(rest) {
        assert!(0 < consumed && consumed <= rest.len());
        rest = &rest[consumed..];
    }
}
