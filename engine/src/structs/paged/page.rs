//! One page: the leaf of the tree, a packed arena of entries in hash order.
//!
//! The arena is an `Arc<[u8]>`, counters and bytes in one allocation, so a lookup
//! in a small map touches the arena and nothing else. Shared arenas are copied
//! before the first write; unshared ones are written in place.
//!
//! Invariants: entries stand in ascending order of full hash; a page is never
//! empty once it is part of a tree; the header's hint is at most the hint of any
//! entry.

use std::sync::Arc;

use super::super::prefetch::prefetch;
use super::record::{
    Edit, HEADER, INLINE_MAX, KEY_BLOB, OBJ, PAY_BLOB, Rec, Shape, Span, View, get_index,
    lower_bound, set_index,
};
use super::side::Side;
use super::watch::{self, Watched};
use super::{Entry, EntryMut, Old, Payload, Schema, size};

/// Entries after which a page splits, unless all share one hash. With 80 instead of
/// 64, a million keys in 16384 maps (61 each) mostly fit one page per map and cost
/// 0.7 bytes less each; longer pages would make false tag matches frequent.
pub(super) const MAX_ENTRIES: usize = 80;
/// Arena bytes after which a page splits, so that a copy-on-write stays short.
pub(super) const MAX_BYTES: usize = 16 * 1024;

/// A page of the tree.
pub(super) struct Leaf<S: Schema> {
    pub(super) bytes: Arc<[u8]>,
    pub(super) side: Option<Arc<Side<S::Obj>>>,
}

impl<S: Schema> Clone for Leaf<S> {
    fn clone(&self) -> Self {
        Leaf {
            bytes: Arc::clone(&self.bytes),
            side: self.side.clone(),
        }
    }
}

/// The arguments of one put, and what parents have to know afterwards.
pub(super) struct Put<'a, S: Schema> {
    pub hash: u64,
    pub key: &'a [u8],
    pub parts: &'a [&'a [u8]],
    pub pay_len: usize,
    pub obj: Option<S::Obj>,
    /// Set by the page: its hint after the write.
    pub hint: u64,
    /// Set by the page: its hint may have gone up.
    pub hint_raised: bool,
}

/// The outcome of a put.
pub(super) enum Done<O> {
    /// The page has to be split first; nothing was changed.
    Full,
    /// Written; the old entry, if there was one.
    Put(Option<Old<O>>),
}

/// A removed entry.
pub(super) struct Removed<O> {
    pub payload: Payload,
    pub obj: Option<O>,
}

impl<S: Schema> Leaf<S> {
    /// A page without entries, to be filled at once.
    pub fn empty() -> Self {
        let mut bytes = zeroed(HEADER);
        Edit(own(&mut bytes)).set_used(HEADER);
        Edit(own(&mut bytes)).set_hint(u64::MAX);
        Leaf { bytes, side: None }
    }

    /// A page without entries, to be filled at once, with room for `entries` whose records have `records` bytes together. No
    /// more is taken than a page may have.
    pub fn with_room(entries: usize, records: usize) -> Self {
        let entries = entries.min(MAX_ENTRIES);
        let records = records.min(MAX_BYTES - HEADER - MAX_ENTRIES * 3);
        let (arena, cap) = size::plan(entries, records, 0, MAX_ENTRIES);
        let mut bytes = zeroed(arena);
        let mut edit = Edit(own(&mut bytes));
        edit.set_cap(cap);
        let base = edit.view().base();
        edit.set_used(base);
        edit.set_hint(u64::MAX);
        Leaf { bytes, side: None }
    }

    /// Asks the processor for all that a put into a page of one cache line after the other reads and writes: the index, and
    /// where the next record goes. It reads the header.
    #[inline]
    pub fn prefetch_end(&self) {
        let start = self.bytes.as_ptr();
        prefetch(start.wrapping_add(128));
        prefetch(start.wrapping_add(192));
        prefetch(start.wrapping_add(self.view().used()));
    }

    /// Asks the processor for the header and the tags, and with luck the records.
    #[inline]
    pub fn prefetch(&self) {
        let start = self.bytes.as_ptr();
        prefetch(start);
        prefetch(start.wrapping_add(64));
    }

    #[inline]
    pub fn view(&self) -> View<'_> {
        View(&self.bytes)
    }

    pub fn len(&self) -> usize {
        self.view().len()
    }

    pub fn hint(&self) -> u64 {
        self.view().hint()
    }

    /// The address of the arena.
    pub fn addr(&self) -> usize {
        self.bytes.as_ptr().addr()
    }

    #[cfg(test)]
    pub fn is_unshared(&self) -> bool {
        Arc::strong_count(&self.bytes) == 1
    }

    /// The page, which covers `h`, is about to be changed: if that means a copy, watchers are
    /// told.
    #[inline]
    pub(super) fn leave(&self, h: u64) {
        if S::WATCHED != Watched::No && watch::is_watched() && Arc::strong_count(&self.bytes) > 1 {
            watch::tell(S::WATCHED, h, self.addr(), self.heap_bytes() as u64);
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.bytes.len() + size::ARC_HEADER + self.side.as_ref().map_or(0, |side| side.heap_bytes())
    }

    /// Whether something is kept out of line.
    pub fn has_side(&self) -> bool {
        self.side.is_some()
    }

    /// Arena bytes the entries need, without slack.
    pub fn needed(&self) -> usize {
        size::needed(self.len(), self.view().live())
    }

    #[inline]
    fn key_of(&self, rec: &Rec) -> &[u8] {
        if rec.flags & KEY_BLOB != 0 {
            return self.blob(rec.key_at);
        }
        &self.bytes[rec.key_at..rec.key_at + rec.key_len]
    }

    #[inline]
    fn payload_of(&self, rec: &Rec) -> &[u8] {
        if rec.flags & PAY_BLOB != 0 {
            return self.blob(rec.pay_at());
        }
        &self.bytes[rec.pay_at()..rec.end()]
    }

    fn blob(&self, at: usize) -> &[u8] {
        match &self.side {
            Some(side) => side.blob(get_index(&self.bytes, at)),
            None => &[],
        }
    }

    #[inline]
    pub fn entry(&self, i: usize) -> Entry<'_, S> {
        self.entry_of(&self.view().rec(i))
    }

    #[inline]
    fn entry_of(&self, rec: &Rec) -> Entry<'_, S> {
        if rec.flags == 0 {
            let (key, payload) = self.bytes[rec.key_at..rec.end()].split_at(rec.key_len);
            return Entry {
                key,
                payload,
                obj: None,
            };
        }
        let obj = if rec.flags & OBJ != 0 {
            let at = get_index(&self.bytes, rec.obj_at);
            self.side.as_ref().and_then(|side| side.objs[at].as_ref())
        } else {
            None
        };
        Entry {
            key: self.key_of(rec),
            payload: self.payload_of(rec),
            obj,
        }
    }

    /// The hash of entry `i`, computed again from its key.
    pub fn hash_at(&self, i: usize) -> u64 {
        S::hash(self.key_of(&self.view().rec(i)))
    }

    /// Finds a key: its place, or else the first place whose tag is not smaller.
    #[inline]
    fn find(&self, tag: u8, key: &[u8]) -> Result<(usize, Rec), usize> {
        let v = self.view();
        let tags = v.tags();
        let first = lower_bound(tags, tag);
        let mut i = first;
        while i < tags.len() && tags[i] == tag {
            let rec = v.rec(i);
            if self.key_of(&rec) == key {
                return Ok((i, rec));
            }
            i += 1;
        }
        Err(first)
    }

    #[inline]
    pub fn get(&self, span: Span, h: u64, key: &[u8]) -> Option<Entry<'_, S>> {
        let (_, rec) = self.find(span.tag(h), key).ok()?;
        Some(self.entry_of(&rec))
    }

    /// The first entry whose hash is at least `from`.
    pub fn seek(&self, span: Span, from: u64) -> usize {
        if from <= span.lo {
            return 0;
        }
        let mut i = lower_bound(self.view().tags(), span.tag(from));
        while i < self.len() && self.hash_at(i) < from {
            i += 1;
        }
        i
    }

    pub fn get_mut(&mut self, span: Span, h: u64, key: &[u8]) -> Option<EntryMut<'_, S>> {
        let (_, rec) = self.find(span.tag(h), key).ok()?;
        self.leave(h);
        if rec.flags == 0 {
            let bytes = &mut own(&mut self.bytes)[rec.pay_at()..rec.end()];
            return Some(EntryMut {
                payload: bytes,
                obj: None,
            });
        }
        let bytes = own(&mut self.bytes);
        let side = Arc::make_mut(self.side.as_mut()?);
        let obj = if rec.flags & OBJ != 0 {
            side.objs[get_index(bytes, rec.obj_at)].as_mut()
        } else {
            None
        };
        let payload = if rec.flags & PAY_BLOB != 0 {
            side.blobs[get_index(bytes, rec.pay_at())].as_deref_mut()?
        } else {
            &mut bytes[rec.pay_at()..rec.end()]
        };
        Some(EntryMut { payload, obj })
    }

    /// Inserts an entry or replaces it whole.
    #[inline]
    pub fn put(&mut self, span: Span, put: &mut Put<'_, S>) -> Done<S::Obj> {
        let tag = span.tag(put.hash);
        match self.find(tag, put.key) {
            Ok((i, rec)) => self.replace(i, &rec, put),
            Err(first) => self.insert(first, tag, put),
        }
    }

    fn insert(&mut self, first: usize, tag: u8, put: &mut Put<'_, S>) -> Done<S::Obj> {
        let shape = Shape::of(put.key.len(), put.pay_len, put.obj.is_some());
        if self.overfull(self.len() + 1, self.view().live() + shape.len()) {
            return Done::Full;
        }
        self.leave(put.hash);
        let tags = self.view().tags();
        let mut pos = first;
        while pos < tags.len() && tags[pos] == tag && self.hash_at(pos) <= put.hash {
            pos += 1;
        }
        self.make_room(1, shape.len(), None);
        let mut edit = Edit(own(&mut self.bytes));
        let at = edit.view().used();
        edit.set_used(at + shape.len());
        edit.insert_index(pos, tag, at);
        let hint = write::<S>(edit.0, &mut self.side, at, &shape, put);
        put.hint = edit.view().hint().min(hint);
        edit.set_hint(put.hint);
        Done::Put(None)
    }

    fn replace(&mut self, i: usize, rec: &Rec, put: &mut Put<'_, S>) -> Done<S::Obj> {
        let shape = Shape::of(put.key.len(), put.pay_len, put.obj.is_some());
        let old_hint = S::hint(self.payload_of(rec));
        if rec.flags == 0 && shape.flags == 0 && rec.pay_len == shape.pay_len {
            self.leave(put.hash);
            let payload = &mut own(&mut self.bytes)[rec.pay_at()..rec.end()];
            copy_parts(payload, put.parts);
            let new_hint = S::hint(payload);
            self.settle_hint(old_hint, new_hint, put);
            return Done::Put(Some(Old { obj: None }));
        }
        let live = self.view().live() - rec.len() + shape.len();
        if shape.len() > rec.len() && self.overfull(self.len(), live) {
            return Done::Full;
        }
        self.leave(put.hash);
        let obj = self.release(rec).1;
        let grown = shape.len() > rec.len();
        let repacked = grown && self.make_room(0, shape.len(), Some(i));
        let mut edit = Edit(own(&mut self.bytes));
        let mut at = rec.start;
        if grown {
            if !repacked {
                edit.free(rec.start, rec.end());
            }
            at = edit.view().used();
            edit.set_used(at + shape.len());
            edit.set_offset(i, at);
        } else {
            edit.free(rec.start + shape.len(), rec.end());
        }
        let new_hint = write::<S>(edit.0, &mut self.side, at, &shape, put);
        self.settle_hint(old_hint, new_hint, put);
        Done::Put(Some(Old { obj }))
    }

    /// Whether a page of this content should be split, and can be.
    fn overfull(&self, entries: usize, live: usize) -> bool {
        (entries > MAX_ENTRIES || size::needed(entries, live) > MAX_BYTES) && self.splittable()
    }

    fn splittable(&self) -> bool {
        let n = self.len();
        n > 1 && self.hash_at(0) != self.hash_at(n - 1)
    }

    /// Takes what a record keeps out of line: its payload and its object.
    fn release(&mut self, rec: &Rec) -> (Option<Box<[u8]>>, Option<S::Obj>) {
        if rec.flags & (OBJ | KEY_BLOB | PAY_BLOB) == 0 {
            return (None, None);
        }
        let Some(shared) = self.side.as_mut() else {
            return (None, None);
        };
        let side = Arc::make_mut(shared);
        let mut taken = (None, None);
        if rec.flags & OBJ != 0 {
            taken.1 = side.take_obj(get_index(&self.bytes, rec.obj_at));
        }
        if rec.flags & KEY_BLOB != 0 {
            side.take_blob(get_index(&self.bytes, rec.key_at));
        }
        if rec.flags & PAY_BLOB != 0 {
            taken.0 = Some(side.take_blob(get_index(&self.bytes, rec.pay_at())));
        }
        if side.is_empty() {
            self.side = None;
        }
        taken
    }

    pub fn remove(&mut self, span: Span, h: u64, key: &[u8]) -> Option<Removed<S::Obj>> {
        let (i, rec) = self.find(span.tag(h), key).ok()?;
        self.leave(h);
        let old_hint = S::hint(self.payload_of(&rec));
        let mut payload = Payload::new();
        if rec.flags & PAY_BLOB == 0 {
            payload.extend_from_slice(self.payload_of(&rec));
        }
        let (blob, obj) = self.release(&rec);
        if let Some(blob) = blob {
            payload = Payload::from_vec(blob.into_vec());
        }
        let mut edit = Edit(own(&mut self.bytes));
        edit.remove_index(i);
        edit.free(rec.start, rec.end());
        self.retire_hint(old_hint);
        self.give_back();
        Some(Removed { payload, obj })
    }

    /// Packs the page anew when a quarter of it is dead or a third of it unused.
    fn give_back(&mut self) {
        let v = self.view();
        let total = self.bytes.len();
        let dead = v.dead() * 4 > total;
        let loose = total > 128 && (total - v.used() + v.dead()) * 3 > total;
        if v.len() > 0 && (dead || loose) {
            self.bytes = self.packed(0, 0, None);
        }
    }

    /// Packs the page anew if that makes it any shorter.
    pub fn trim(&mut self) {
        let v = self.view();
        if v.len() > 0 {
            let spare = if v.dead() > 0 { v.live() / 16 } else { 0 };
            let (arena, _) = size::plan(v.len(), v.live(), spare, MAX_ENTRIES);
            if arena < self.bytes.len() {
                self.bytes = self.packed(0, 0, None);
            }
        }
    }

    /// Makes the arena hold `entries` more entries and `extra` more record bytes,
    /// unshared. Returns true if it was packed anew, leaving the record of `drop`
    /// out (its index entry stays and then points nowhere).
    fn make_room(&mut self, entries: usize, extra: usize, drop: Option<usize>) -> bool {
        let v = self.view();
        if v.len() + entries <= v.cap() && v.used() + extra <= self.bytes.len() {
            return false;
        }
        self.bytes = self.packed(entries, extra, drop);
        true
    }

    /// A copy of the arena without dead bytes, with room for what is to come.
    fn packed(&self, entries: usize, extra: usize, drop: Option<usize>) -> Arc<[u8]> {
        let v = self.view();
        let dropped = drop.map_or(0, |i| v.rec(i).len());
        let (n, live) = (v.len(), v.live() - dropped);
        // Without some spare room, rewriting entries with other lengths could pack
        // the page on every write.
        let rewritten = v.dead() > 0 || drop.is_some();
        let spare = if rewritten { (live + extra) / 16 } else { 0 };
        let (arena, cap) = size::plan(n + entries, live + extra, spare, MAX_ENTRIES);
        let mut bytes = zeroed(arena);
        let mut edit = Edit(own(&mut bytes));
        edit.set_len(n);
        edit.set_cap(cap);
        edit.set_hint(v.hint());
        edit.0[HEADER..HEADER + n].copy_from_slice(v.tags());
        let mut at = edit.view().base();
        if rewritten {
            for i in (0..n).filter(|i| Some(*i) != drop) {
                let rec = v.rec(i);
                edit.0[at..at + rec.len()].copy_from_slice(&v.0[rec.start..rec.end()]);
                edit.set_offset(i, at);
                at += rec.len();
            }
        } else {
            edit.0[at..at + live].copy_from_slice(&v.0[v.base()..v.used()]);
            at += live;
            edit.copy_offsets(v);
        }
        edit.set_used(at);
        bytes
    }

    /// Brings the page's hint up to date after an entry was written anew.
    fn settle_hint(&mut self, old_hint: u64, new_hint: u64, put: &mut Put<'_, S>) {
        if new_hint < old_hint {
            self.lower_hint(new_hint);
        } else if new_hint > old_hint {
            put.hint_raised = self.retire_hint(old_hint);
        }
        put.hint = self.hint();
    }

    /// Raises the page's hint if it was that of an entry now gone and of no other.
    fn retire_hint(&mut self, gone: u64) -> bool {
        let bound = self.hint();
        if gone > bound || bound == u64::MAX {
            return false;
        }
        let mut hints = (0..self.len()).map(|i| self.hint_at(i));
        if hints.any(|hint| hint <= bound) {
            return false;
        }
        self.recompute_hint();
        true
    }

    #[inline]
    fn hint_at(&self, i: usize) -> u64 {
        S::hint(self.payload_of(&self.view().rec(i)))
    }

    /// Sets the page's hint to the least of its entries.
    pub fn recompute_hint(&mut self) {
        let hints = (0..self.len()).map(|i| self.hint_at(i));
        let hint = hints.min().unwrap_or(u64::MAX);
        if hint != self.hint() {
            Edit(own(&mut self.bytes)).set_hint(hint);
        }
    }

    /// Lowers the page's hint to `hint` if it is higher.
    pub fn lower_hint(&mut self, hint: u64) {
        if hint < self.hint() {
            Edit(own(&mut self.bytes)).set_hint(hint);
        }
    }
}

/// Writes the record of a put into the bytes reserved at `at`; returns its hint.
#[inline]
fn write<S: Schema>(
    bytes: &mut [u8],
    side: &mut Option<Arc<Side<S::Obj>>>,
    at: usize,
    shape: &Shape,
    put: &mut Put<'_, S>,
) -> u64 {
    let rec = shape.write_head(bytes, at);
    if shape.flags & KEY_BLOB == 0 {
        bytes[rec.key_at..rec.pay_at()].copy_from_slice(put.key);
    }
    if shape.flags & PAY_BLOB == 0 {
        copy_parts(&mut bytes[rec.pay_at()..rec.end()], put.parts);
    }
    if shape.flags == 0 {
        return S::hint(&bytes[rec.pay_at()..rec.end()]);
    }
    let side = Arc::make_mut(side.get_or_insert_with(|| Arc::new(Side::new())));
    if let Some(obj) = put.obj.take() {
        set_index(bytes, rec.obj_at, side.add_obj(obj));
    }
    if shape.flags & KEY_BLOB != 0 {
        set_index(bytes, rec.key_at, side.add_blob(put.key.into()));
    }
    if shape.flags & PAY_BLOB == 0 {
        return S::hint(&bytes[rec.pay_at()..rec.end()]);
    }
    let blob: Box<[u8]> = put.parts.concat().into();
    let hint = S::hint(&blob);
    set_index(bytes, rec.pay_at(), side.add_blob(blob));
    hint
}

fn copy_parts(mut to: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let (head, rest) = to.split_at_mut(part.len());
        head.copy_from_slice(part);
        to = rest;
    }
}

pub(super) fn zeroed(len: usize) -> Arc<[u8]> {
    std::iter::repeat_n(0, len).collect()
}

/// Write access to an arena, copying it first if it is shared.
#[inline]
pub(super) fn own(bytes: &mut Arc<[u8]>) -> &mut [u8] {
    Arc::make_mut(bytes)
}

const _: () = assert!(MAX_ENTRIES < 256 && INLINE_MAX < 1 << 14);
