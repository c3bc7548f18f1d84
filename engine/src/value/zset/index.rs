//! From member to score, beside the ordered tree of a big sorted set.

use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, Default)]
pub(super) struct ScoreIndex(Arc<BTreeMap<Vec<u8>, f64>>);

impl ScoreIndex {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, member: &[u8]) -> Option<f64> {
        self.0.get(member).copied()
    }

    pub fn put(&mut self, member: &[u8], score: f64) {
        Arc::make_mut(&mut self.0).insert(member.to_vec(), score);
    }

    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        Arc::make_mut(&mut self.0).remove(member)
    }

    pub fn scan(&self, _cursor: u64, _count: usize, f: &mut dyn FnMut(&[u8], f64)) -> u64 {
        self.0.iter().for_each(|(m, s)| f(m, *s));
        0
    }

    pub fn heap_bytes(&self) -> usize {
        self.0.keys().map(|k| k.len() + 48).sum()
    }
}
