//! The archive: what commands have done since the last backup, shipped every few seconds.
//!
//! ```text
//! effects, under shard locks --> open piece --+-- cut of a backup, size --> sealed pieces --> ship: store
//!                                             +-- every interval ---------^
//! ```
//!
//! The stream begins with the cut of a backup, under its locks, so that what it holds is exactly what the backup does not. It
//! ends with the process, when more than [`MOST_PENDING`] bytes cannot be shipped, or when backups are to go elsewhere or to be
//! read by others: then the next backup begins a new one. Restoring needs a backup of the same stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use basalt_backup::job::JobError;
use basalt_backup::job::archive::{Segment, write};
use basalt_backup::repo::RepositoryKey;
use basalt_backup::repo::manifest::Position;
use basalt_backup::store::BackupStore;
use basalt_engine::log::{Group, LogSink, SinkId};
use basalt_formats::resp::encode::{array, bulk};
use parking_lot::{Condvar, Mutex};

use super::Settings;
use crate::server::{Server, unix_ms};

/// A piece ends when it is so long.
const PIECE_BYTES: usize = 8 << 20;
/// What may wait for a store that does not answer.
const MOST_PENDING: usize = 256 << 20;
/// After a failure it is tried again after so long.
const RETRY: Duration = Duration::from_secs(2);

/// Encoded effects.
struct Piece {
    bytes: Vec<u8>,
    segment: Segment,
}

#[derive(Default)]
struct Inner {
    open: Option<Piece>,
    db: Option<usize>,
    stamp_ms: i64,
    /// The newest time there was.
    newest_ms: i64,
    sealed: VecDeque<Piece>,
    /// When the piece began that has left the queue for the store, and is not there yet.
    shipping_from_ms: Option<i64>,
    pending_bytes: usize,
    /// Too much was pending: nothing is taken any more.
    overflown: bool,
    ended: bool,
}

/// A stream of one process.
pub struct Stream {
    id: String,
    /// How it is shipped.
    settings: Settings,
    inner: Mutex<Inner>,
    woken: Condvar,
    /// Bytes of segments shipped.
    pub shipped_bytes: AtomicU64,
    /// Segments shipped.
    pub shipped: AtomicU64,
    /// Attempts that failed.
    pub failures: AtomicU64,
    /// The shipper has ended.
    gone: AtomicBool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({})", self.id)
    }
}

impl Inner {
    fn seal(&mut self) {
        if let Some(piece) = self.open.take() {
            self.sealed.push_back(piece);
        }
        self.db = None;
        self.stamp_ms = 0;
    }

    fn append(&mut self, stream: &str, index: u64, now_ms: i64, db: usize, args: &[&[u8]]) {
        let piece = self.open.get_or_insert_with(|| Piece {
            bytes: Vec::new(),
            segment: Segment {
                stream: stream.to_owned(),
                first: index,
                last: index,
                from_ms: now_ms,
                to_ms: now_ms,
            },
        });
        let before = piece.bytes.len();
        let out = &mut piece.bytes;
        if self.db != Some(db) {
            self.db = Some(db);
            array(out, 2);
            bulk(out, b"SELECT");
            bulk(out, db.to_string().as_bytes());
        }
        if now_ms != self.stamp_ms {
            self.stamp_ms = now_ms;
            out.extend_from_slice(format!("#T {now_ms}\n").as_bytes());
        }
        array(out, args.len());
        args.iter().for_each(|word| bulk(out, word));
        piece.segment.last = index;
        piece.segment.to_ms = now_ms;
        self.pending_bytes += piece.bytes.len() - before;
    }

    /// The age of the oldest change that is not in the store; zero only if all are, whatever the clock says.
    fn lag_ms(&self, now_ms: i64) -> i64 {
        let queued = self.sealed.front().or(self.open.as_ref());
        let since = self
            .shipping_from_ms
            .or(queued.map(|piece| piece.segment.from_ms));
        since.map_or(0, |since| now_ms.saturating_sub(since).max(1))
    }

    /// After a whole group.
    fn settle(&mut self) -> bool {
        let long = self
            .open
            .as_ref()
            .is_some_and(|piece| piece.bytes.len() >= PIECE_BYTES);
        if long {
            self.seal();
        }
        if self.pending_bytes > MOST_PENDING {
            self.overflown = true;
            self.open = None;
            self.sealed.clear();
        }
        long || self.overflown
    }
}

impl Stream {
    fn take(&self, append: impl FnOnce(&mut Inner, &str, i64)) {
        let mut inner = self.inner.lock();
        if inner.overflown || inner.ended {
            return;
        }
        // The clock may be set back; the stream's time is not.
        let now_ms = unix_ms().max(inner.newest_ms);
        inner.newest_ms = now_ms;
        append(&mut inner, &self.id, now_ms);
        if inner.settle() {
            self.woken.notify_one();
        }
    }

    /// Ends a piece at the cut of a backup.
    pub fn cut(&self) {
        self.inner.lock().seal();
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// It is shipped otherwise than it would be by these settings.
    pub fn differs(&self, settings: &Settings) -> bool {
        !self.settings.agrees(settings)
    }

    /// Takes nothing more; what there is will be shipped.
    fn end(&self) {
        self.inner.lock().ended = true;
        self.woken.notify_one();
    }

    /// It takes nothing more, or nobody ships it.
    pub fn is_over(&self) -> bool {
        let inner = self.inner.lock();
        inner.overflown || inner.ended || self.gone.load(Relaxed)
    }

    /// Milliseconds of changes that only this machine has.
    pub fn lag_ms(&self, now_ms: i64) -> i64 {
        self.inner.lock().lag_ms(now_ms)
    }
}

/// The end of a stream that the engine holds.
struct Feed(Arc<Stream>);

impl LogSink for Feed {
    fn effect(&self, index: u64, db: usize, args: &[&[u8]]) {
        self.0.take(|inner, stream, now_ms| {
            inner.append(stream, index, now_ms, db, args);
        });
    }

    fn group(&self, group: &Group<'_>) {
        self.0.take(|inner, stream, now_ms| {
            group.for_each(|index, db, args| inner.append(stream, index, now_ms, db, args));
        });
    }
}

/// The stream of this process, if there is one.
#[derive(Debug, Default)]
pub struct Archive {
    current: Mutex<Option<(Arc<Stream>, SinkId)>>,
    /// When a backup was last begun only to begin a stream.
    pub tried: Mutex<Option<Instant>>,
}

impl Archive {
    /// The stream.
    pub fn stream(&self) -> Option<Arc<Stream>> {
        let current = self.current.lock();
        current.as_ref().map(|(stream, _)| stream.clone())
    }
}

/// What ships a stream.
pub struct Shipper {
    /// Where to.
    pub store: Arc<dyn BackupStore>,
    /// For the MAC.
    pub key: RepositoryKey,
}

impl Server {
    /// At the cut of a backup, while every shard is locked: where the backup stands in the stream, which begins now if there
    /// is none.
    pub(super) fn archive_position(
        &self,
        settings: &Settings,
        begin: Option<&str>,
    ) -> Option<(Position, bool)> {
        let index = self.engine.log.index();
        let mut current = self.backups.archive.current.lock();
        if let Some((stream, _)) = &*current
            && !stream.is_over()
            && !stream.differs(settings)
        {
            stream.cut();
            let position = Position {
                stream: stream.id.clone(),
                index,
            };
            return Some((position, false));
        }
        let id = begin?;
        if let Some((stream, sink)) = current.take() {
            self.engine.log.detach(sink);
            stream.end();
        }
        let stream = Arc::new(Stream {
            id: id.to_owned(),
            settings: settings.clone(),
            inner: Mutex::default(),
            woken: Condvar::new(),
            shipped_bytes: AtomicU64::new(0),
            shipped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        });
        let sink = self.engine.log.attach(Box::new(Feed(stream.clone())));
        *current = Some((stream, sink));
        let position = Position {
            stream: id.to_owned(),
            index,
        };
        Some((position, true))
    }

    /// Ends the stream: `backup-archive` was switched off, or its backup has failed.
    pub(super) fn end_archive(&self) {
        let taken = self.backups.archive.current.lock().take();
        if let Some((stream, sink)) = taken {
            self.engine.log.detach(sink);
            stream.end();
        }
    }

    /// Ships the stream until it ends.
    pub(super) fn ship_archive(self: &Arc<Server>, mut shipper: Shipper) -> std::io::Result<()> {
        let Some(stream) = self.backups.archive.stream() else {
            return Ok(());
        };
        let server = self.clone();
        std::thread::Builder::new()
            .name("backup-archive".into())
            .spawn(move || {
                stream.ship(&server, &mut shipper);
                stream.gone.store(true, Relaxed);
            })
            .map(drop)
    }

    /// Ships what there is before the process ends, if the store answers in time.
    pub(crate) fn flush_archive(&self, patience: Duration) {
        let Some(stream) = self.backups.archive.stream() else {
            return;
        };
        self.end_archive();
        let until = Instant::now() + patience;
        while !stream.gone.load(Relaxed) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !stream.gone.load(Relaxed) {
            tracing::warn!("The archive could not be completed before the end.");
        }
    }
}

impl Stream {
    fn ship(&self, server: &Server, shipper: &mut Shipper) {
        let mut stuck: Option<Piece> = None;
        loop {
            let interval = server.config.load().backup_archive_interval;
            let interval = Duration::from_secs(u64::from(interval).max(1));
            let pause = if stuck.is_some() { RETRY } else { interval };
            let (piece, ended) = {
                let mut inner = self.inner.lock();
                if inner.sealed.is_empty() && !inner.ended && !inner.overflown {
                    self.woken.wait_for(&mut inner, pause);
                }
                if inner.overflown {
                    tracing::warn!(
                        "The archive of the log ends: more than {MOST_PENDING} bytes could not be shipped. The next backup begins a new one."
                    );
                    return;
                }
                if stuck.is_none() {
                    if inner.sealed.is_empty() {
                        inner.seal();
                    }
                    stuck = inner.sealed.pop_front();
                    inner.shipping_from_ms = stuck.as_ref().map(|piece| piece.segment.from_ms);
                }
                (stuck.take(), inner.ended)
            };
            let Some(piece) = piece else {
                if ended {
                    return;
                }
                continue;
            };
            match self.ship_piece(&piece, shipper) {
                Ok(bytes) => {
                    self.shipped.fetch_add(1, Relaxed);
                    self.shipped_bytes.fetch_add(bytes, Relaxed);
                    let mut inner = self.inner.lock();
                    inner.pending_bytes = inner.pending_bytes.saturating_sub(piece.bytes.len());
                    inner.shipping_from_ms = None;
                }
                Err(error) => {
                    self.failures.fetch_add(1, Relaxed);
                    tracing::warn!("A segment of the log could not be archived: {error}");
                    if ended {
                        return;
                    }
                    stuck = Some(piece);
                    std::thread::sleep(RETRY);
                    // Credentials in a file may be others by now.
                    if let Ok(store) = self.settings.store() {
                        shipper.store = store;
                    }
                }
            }
        }
    }

    fn ship_piece(&self, piece: &Piece, shipper: &Shipper) -> Result<u64, JobError> {
        write(
            &*shipper.store,
            &piece.segment,
            &piece.bytes,
            self.settings.codec,
            &self.settings.recipients,
            &shipper.key,
            self.settings.spool()?,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(inner: &mut Inner, index: u64, now_ms: i64) {
        inner.append("s", index, now_ms, 0, &[b"SET", b"k", b"v"]);
    }

    #[test]
    fn nothing_is_said_to_be_safe_that_is_not() {
        let mut inner = Inner::default();
        assert_eq!(inner.lag_ms(1_000), 0);
        set(&mut inner, 1, 1_000);
        // In the same millisecond, or with the clock set back, it is not safe either.
        assert_eq!(inner.lag_ms(1_000), 1);
        assert_eq!(inner.lag_ms(400), 1);
        assert_eq!(inner.lag_ms(1_700), 700);
        // On its way to the store it still counts, also when there is newer in the queue.
        inner.seal();
        let piece = inner.sealed.pop_front().expect("sealed");
        inner.shipping_from_ms = Some(piece.segment.from_ms);
        assert_eq!(inner.lag_ms(2_000), 1_000);
        set(&mut inner, 2, 2_500);
        assert_eq!(inner.lag_ms(3_000), 2_000);
        inner.shipping_from_ms = None;
        assert_eq!(inner.lag_ms(3_000), 500);
    }
}
