//! placeholder
/// x
#[derive(Clone, Debug, Default)]
pub struct List;
/// x
#[derive(Clone, Debug, Copy)]
#[allow(missing_docs)]
pub struct ListLimits {
    pub max_listpack_size: i32,
    pub compress_depth: i32,
    pub packed_threshold: usize,
}
impl List {
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
