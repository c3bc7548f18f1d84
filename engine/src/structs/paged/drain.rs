//! Reading a map once, letting go of each page as soon as it is read.
//!
//! For a snapshot of a big map: what has been read is no longer shared, so writers change it in
//! place, and pages that writers had to copy can be read out of turn ([`Drain::copied`]).
//!
//! Invariant: every entry is shown exactly once, in hash order but for such pages.

use std::sync::Arc;

use super::node::Node;
use super::page::Leaf;
use super::watch::Copied;
use super::{Entry, PagedMap, Schema};

/// A map that is being read out; see the module's head.
pub struct Drain<S: Schema> {
    root: Option<Node<S>>,
    /// Entries not shown yet.
    left: usize,
    /// All pages below this hash have been shown; `None`: all have.
    next: Option<u64>,
    /// Takes the place of pages that were shown.
    hollow: Leaf<S>,
}

impl<S: Schema> Drain<S> {
    /// Begins to read a map out.
    pub fn new(map: PagedMap<S>) -> Self {
        Drain {
            left: map.len(),
            root: map.root,
            next: Some(0),
            hollow: Leaf::empty(),
        }
    }

    /// Entries not shown yet.
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether all entries have been shown.
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Pages not shown yet that only this map holds: writers have copied them.
    #[cfg(test)]
    pub(crate) fn copied_pages(&self) -> usize {
        let (mut at, mut pages) = (self.next, 0);
        while let (Some(h), Some(root)) = (at, &self.root) {
            let (page, span) = root.page(h);
            at = span.hi.checked_add(1);
            pages += usize::from(page.len() > 0 && page.is_unshared());
        }
        pages
    }

    /// Shows the entries of the next page; false if there is none.
    pub fn next_page(&mut self, f: &mut dyn FnMut(Entry<'_, S>)) -> bool {
        while let (Some(next), Some(root)) = (self.next, &self.root) {
            let (page, span) = root.page(next);
            let shown = page.len() > 0;
            self.next = span.hi.checked_add(1);
            if shown {
                self.show(next, f);
                return true;
            }
        }
        self.root = None;
        false
    }

    /// Shows the entries of a page that a writer has copied; false if it is none of ours, or
    /// was shown before.
    pub fn copied(&mut self, copied: &Copied, f: &mut dyn FnMut(Entry<'_, S>)) -> bool {
        let Some(root) = &self.root else { return false };
        let (page, _) = root.page(copied.hash);
        let ours = page.addr() == copied.addr && page.len() > 0;
        if ours {
            self.show(copied.hash, f);
        }
        ours
    }

    /// The entry of a key, unless its page has been shown.
    pub fn get(&self, key: &[u8]) -> Option<Entry<'_, S>> {
        let h = S::hash(key);
        let (page, span) = self.root.as_ref()?.page(h);
        page.get(span, h, key)
    }

    /// Where [`Self::next_page`] goes on: all pages below this hash have been shown, and all
    /// there are if `None`.
    pub fn position(&self) -> Option<u64> {
        self.next
    }

    /// The hashes, first and last, of a page that a writer has copied; `None` if it is none of ours,
    /// or was shown before.
    pub fn span(&self, copied: &Copied) -> Option<(u64, u64)> {
        let (page, span) = self.root.as_ref()?.page(copied.hash);
        let ours = page.addr() == copied.addr && page.len() > 0;
        ours.then_some((span.lo, span.hi))
    }

    /// Shows the entries of all pages that cover a hash of `lo..=hi`.
    pub fn show_span(&mut self, lo: u64, hi: u64, f: &mut dyn FnMut(Entry<'_, S>)) {
        let mut at = Some(lo);
        while let (Some(h), Some(root)) = (at.filter(|h| *h <= hi), &self.root) {
            let (page, span) = root.page(h);
            at = span.hi.checked_add(1);
            if page.len() > 0 {
                self.show(h, f);
            }
        }
    }

    /// Lets go, unshown, of the pages that end below this hash; of all if `None`.
    pub fn skip_below(&mut self, limit: Option<u64>) {
        while let (Some(next), Some(root)) = (self.next, &self.root) {
            let (page, span) = root.page(next);
            if limit.is_some_and(|limit| span.hi >= limit) {
                return;
            }
            self.next = span.hi.checked_add(1);
            if page.len() > 0 {
                self.show(next, &mut |_| {});
            }
        }
    }

    fn show(&mut self, h: u64, f: &mut dyn FnMut(Entry<'_, S>)) {
        let Some(root) = &mut self.root else { return };
        let page = root.take_page(h, &self.hollow);
        for i in 0..page.len() {
            f(page.entry(i));
        }
        self.left -= page.len();
    }
}

impl<S: Schema> Node<S> {
    /// Takes the page out that covers `h`. Counts and hints above are no longer true.
    fn take_page(&mut self, h: u64, hollow: &Leaf<S>) -> Leaf<S> {
        match self {
            Node::Leaf(leaf) => std::mem::replace(leaf, hollow.clone()),
            Node::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let i = inner.index(h);
                inner.kids[i].node.take_page(h, hollow)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use parking_lot::Mutex;

    use super::super::watch::{Watched, Watcher, watch};
    use super::*;

    struct Told;

    impl Schema for Told {
        type Obj = Arc<str>;
        const WATCHED: Watched = Watched::Value;
    }

    #[derive(Default)]
    struct List(Mutex<Vec<Copied>>);

    impl Watcher for List {
        fn copied(&self, page: Copied) {
            self.0.lock().push(page);
        }
    }

    fn map_of(n: u32) -> PagedMap<Told> {
        let mut map = PagedMap::new();
        for i in 0..n {
            let obj = i.is_multiple_of(7).then(|| Arc::from(i.to_string()));
            map.put(&i.to_be_bytes(), &i.to_le_bytes(), obj);
        }
        map
    }

    fn contents(map: &PagedMap<Told>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        map.iter()
            .map(|entry| (entry.key.to_vec(), entry.payload.to_vec()))
            .collect()
    }

    /// Puts, removes and changes at random; growing and shrinking in turn.
    fn change(map: &mut PagedMap<Told>, random: &mut u64) {
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let key = ((*random >> 33) % 30_000) as u32;
        match (*random >> 60) % 4 {
            0 => {
                map.remove(&key.to_be_bytes());
            }
            1 => {
                if let Some(entry) = map.get_mut(&key.to_be_bytes()) {
                    entry.payload.fill(9);
                }
            }
            n => {
                map.put(&key.to_be_bytes(), &vec![n as u8; key as usize % 40], None);
            }
        }
    }

    #[test]
    fn every_entry_is_shown_once_whatever_writers_do() {
        for seed in 0..8u64 {
            let mut map = map_of(20_000);
            let wanted = contents(&map);
            let list = Arc::new(List::default());
            let watching = watch(list.clone());
            let mut drain = Drain::new(map.clone());
            let mut shown = BTreeMap::new();
            let mut out_of_turn = 0;
            let mut random = seed;
            loop {
                for _ in 0..seed * 4 {
                    change(&mut map, &mut random);
                }
                let mut show = |entry: Entry<'_, Told>| {
                    let twice = shown.insert(entry.key.to_vec(), entry.payload.to_vec());
                    assert_eq!(twice, None);
                };
                for copied in std::mem::take(&mut *list.0.lock()) {
                    out_of_turn += u32::from(drain.copied(&copied, &mut show));
                }
                if !drain.next_page(&mut show) {
                    break;
                }
            }
            drop(watching);
            assert_eq!(shown, wanted, "seed {seed}");
            assert!(drain.is_empty());
            assert_eq!(out_of_turn > 0, seed > 0);
        }
    }

    #[test]
    fn what_was_shown_is_no_longer_shared() {
        let mut map = map_of(10_000);
        let list = Arc::new(List::default());
        let watching = watch(list.clone());
        let mut drain = Drain::new(map.clone());
        while drain.len() > 5_000 {
            drain.next_page(&mut |_| {});
        }
        let mut told = 0;
        for i in 0..10_000u32 {
            map.put(&i.to_be_bytes(), &i.to_le_bytes(), None);
            // Maps of other tests are told of here as well, but are not ours.
            for copied in std::mem::take(&mut *list.0.lock()) {
                told += usize::from(drain.copied(&copied, &mut |_| {}));
            }
        }
        assert!(drain.is_empty());
        let pages = map.page_count();
        assert!(
            told > pages / 3 && told < pages * 2 / 3,
            "{told} of {pages}"
        );
        drop(watching);
        list.0.lock().clear();
        let more = map.clone();
        map.put(&1u32.to_be_bytes(), &[1; 4], None);
        assert!(list.0.lock().is_empty());
        drop(more);
    }
}
