//! A log of the newest commands beyond a limit: slow ones, and large requests and replies.

use std::collections::VecDeque;

use parking_lot::Mutex;

/// Words kept of one command, and bytes kept of one word.
const MAX_WORDS: usize = 32;
const MAX_WORD_BYTES: usize = 128;

/// One such command.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Increasing number.
    pub id: u64,
    /// When it ran, Unix seconds.
    pub time: i64,
    /// How long it took in microseconds, or how large it was in bytes.
    pub value: u64,
    /// Its words, shortened.
    pub words: Vec<Vec<u8>>,
    /// Address of the client.
    pub addr: String,
    /// Name of the client.
    pub name: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// The log. Newest first.
#[derive(Default)]
pub struct SlowLog {
    inner: Mutex<Inner>,
}

impl SlowLog {
    /// Adds a command and drops the oldest beyond `max_len`.
    pub fn push(
        &self,
        max_len: usize,
        time: i64,
        value: u64,
        args: &[&[u8]],
        addr: &str,
        name: &[u8],
    ) {
        let mut inner = self.inner.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let entry = Entry {
            id,
            time,
            value,
            words: shorten(args),
            addr: addr.into(),
            name: name.into(),
        };
        inner.entries.push_front(entry);
        inner.entries.truncate(max_len);
    }

    /// The newest `count` entries.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.inner
            .lock()
            .entries
            .iter()
            .take(count)
            .cloned()
            .collect()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all entries; numbers go on.
    pub fn reset(&self) {
        self.inner.lock().entries.clear();
    }
}

fn shorten(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let shown = args.len().min(MAX_WORDS);
    let mut words: Vec<Vec<u8>> = args[..shown]
        .iter()
        .map(|word| {
            if word.len() > MAX_WORD_BYTES {
                let mut short = word[..MAX_WORD_BYTES].to_vec();
                short.extend_from_slice(
                    format!("... ({} more bytes)", word.len() - MAX_WORD_BYTES).as_bytes(),
                );
                short
            } else {
                word.to_vec()
            }
        })
        .collect();
    if args.len() > MAX_WORDS {
        words[MAX_WORDS - 1] =
            format!("... ({} more arguments)", args.len() - MAX_WORDS + 1).into_bytes();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_and_many_words_are_cut_as_in_redis() {
        let long = vec![b'x'; 129];
        assert_eq!(shorten(&[&long])[0].len(), 128 + "... (1 more bytes)".len());
        let many: Vec<&[u8]> = vec![b"w"; 33];
        let words = shorten(&many);
        assert_eq!(words.len(), 32);
        assert_eq!(words[31], b"... (2 more arguments)");
    }

    #[test]
    fn newest_first_and_bounded() {
        let log = SlowLog::default();
        (0..5).for_each(|i| log.push(3, i, 1, &[b"get"], "a", b""));
        assert_eq!(
            log.newest(10).iter().map(|e| e.id).collect::<Vec<_>>(),
            [4, 3, 2]
        );
        log.reset();
        log.push(3, 9, 1, &[b"get"], "a", b"");
        assert_eq!(log.newest(10)[0].id, 5);
    }
}
