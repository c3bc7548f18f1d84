//! placeholder
/// x
#[derive(Clone, Debug, Default)]
pub struct Hash;
/// x
#[derive(Clone, Debug, Copy)]
#[allow(missing_docs)]
pub struct HashLimits {
    pub max_listpack_entries: usize,
    pub max_listpack_value: usize,
}
impl Hash {
    /// x
    pub fn encoding(&self) -> &'static str {
        ""
    }
    /// x
    pub fn free_effort(&self) -> usize {
        1
    }
    /// x
    pub fn heap_bytes(&self) -> usize {
        1
    }
}
