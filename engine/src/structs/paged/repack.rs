//! Pages made of others: a full one is split, two small neighbours are joined.

use std::sync::Arc;

use super::page::{Leaf, MAX_ENTRIES, own, zeroed};
use super::record::{Edit, KEY_BLOB, OBJ, PAY_BLOB, Rec, Span, get_index, set_index};
use super::side::Side;
use super::{Schema, size};

impl<S: Schema> Leaf<S> {
    /// Splits at the highest bit in which hashes differ, which for hashes spread
    /// evenly halves both the page and its span; keeps the lower part and returns
    /// the first hash of the upper part's span with the upper part.
    pub fn split(&mut self, span: Span) -> (u64, Leaf<S>) {
        self.leave(span.lo);
        let n = self.len();
        let hashes: Vec<u64> = (0..n).map(|i| self.hash_at(i)).collect();
        let (min, max) = (hashes[0], hashes[n - 1]);
        let bit = 63 - (min ^ max).leading_zeros().min(63);
        let sep = max >> bit << bit;
        let cut = hashes.partition_point(|h| *h < sep);
        let (lower, upper) = (
            Span {
                lo: span.lo,
                hi: sep - 1,
            },
            Span {
                lo: sep,
                hi: span.hi,
            },
        );
        let mut side = self.take_side();
        let left = Packer::collect(&[(self, lower, &hashes[..cut], 0)], &mut [&mut side]);
        let right = Packer::collect(&[(self, upper, &hashes[cut..], cut)], &mut [&mut side]);
        *self = left;
        (sep, right)
    }

    /// Joins two neighbours into one page covering `span`.
    pub fn merge(mut left: Leaf<S>, mut right: Leaf<S>, span: Span) -> Leaf<S> {
        let hashes = |p: &Leaf<S>| (0..p.len()).map(|i| p.hash_at(i)).collect::<Vec<u64>>();
        let (lh, rh) = (hashes(&left), hashes(&right));
        let (mut ls, mut rs) = (left.take_side(), right.take_side());
        Packer::collect(
            &[(&left, span, &lh, 0), (&right, span, &rh, 0)],
            &mut [&mut ls, &mut rs],
        )
    }

    /// Takes the side for good (a shared one is copied).
    fn take_side(&mut self) -> Option<Side<S::Obj>> {
        self.side.take().map(Arc::unwrap_or_clone)
    }
}

/// Collects entries of other pages into a new one.
struct Packer;

/// A source of entries: page, span of the target, hashes of the entries to take,
/// index of the first of them.
type Source<'a, S> = (&'a Leaf<S>, Span, &'a [u64], usize);

impl Packer {
    fn collect<S: Schema>(
        sources: &[Source<'_, S>],
        sides: &mut [&mut Option<Side<S::Obj>>],
    ) -> Leaf<S> {
        let mut records = 0;
        let mut entries = 0;
        for (page, _, hashes, first) in sources {
            let v = page.view();
            entries += hashes.len();
            records += (0..hashes.len())
                .map(|i| v.rec(first + i).len())
                .sum::<usize>();
        }
        let (arena, cap) = size::plan(entries, records, 0, MAX_ENTRIES);
        let mut bytes = zeroed(arena);
        let mut edit = Edit(own(&mut bytes));
        edit.set_cap(cap);
        edit.set_len(entries);
        let mut target = Side::new();
        let (mut at, mut i) = (edit.view().base(), 0);
        for ((page, span, hashes, first), side) in sources.iter().zip(sides) {
            let v = page.view();
            for (k, h) in hashes.iter().enumerate() {
                let rec = v.rec(first + k);
                edit.0[at..at + rec.len()].copy_from_slice(&v.0[rec.start..rec.end()]);
                if rec.flags != 0
                    && let Some(side) = side.as_mut()
                {
                    move_side(edit.0, at, side, &mut target);
                }
                edit.set_tag(i, span.tag(*h));
                edit.set_offset(i, at);
                at += rec.len();
                i += 1;
            }
        }
        edit.set_used(at);
        let side = if target.is_empty() {
            None
        } else {
            Some(Arc::new(target))
        };
        let mut leaf = Leaf { bytes, side };
        Edit(own(&mut leaf.bytes)).set_hint(u64::MAX);
        leaf.recompute_hint();
        leaf
    }
}

/// Moves what the record copied to `at` keeps out of line to another side.
fn move_side<O>(bytes: &mut [u8], at: usize, from: &mut Side<O>, to: &mut Side<O>) {
    let rec = Rec::parse(bytes, at);
    if rec.flags & OBJ != 0
        && let Some(obj) = from.objs[get_index(bytes, rec.obj_at)].take()
    {
        set_index(bytes, rec.obj_at, to.add_obj(obj));
    }
    for (flag, at) in [(KEY_BLOB, rec.key_at), (PAY_BLOB, rec.pay_at())] {
        if rec.flags & flag != 0 {
            let blob = from.blobs[get_index(bytes, at)].take().unwrap_or_default();
            set_index(bytes, at, to.add_blob(blob));
        }
    }
}
