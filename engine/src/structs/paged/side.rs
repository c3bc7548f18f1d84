//! What a page keeps out of line: objects, and keys or payloads too long for it.

/// Slots addressed by the u24 indices of records; freed slots are used again.
pub(super) struct Side<O> {
    pub objs: Vec<Option<O>>,
    pub blobs: Vec<Option<Box<[u8]>>>,
}

impl<O: Clone> Clone for Side<O> {
    fn clone(&self) -> Self {
        Side {
            objs: self.objs.clone(),
            blobs: self.blobs.clone(),
        }
    }
}

impl<O> Side<O> {
    pub fn new() -> Self {
        Side {
            objs: Vec::new(),
            blobs: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.objs.is_empty() && self.blobs.is_empty()
    }

    pub fn add_obj(&mut self, obj: O) -> usize {
        add(&mut self.objs, obj)
    }

    pub fn add_blob(&mut self, blob: Box<[u8]>) -> usize {
        add(&mut self.blobs, blob)
    }

    pub fn take_obj(&mut self, i: usize) -> Option<O> {
        take(&mut self.objs, i)
    }

    pub fn take_blob(&mut self, i: usize) -> Box<[u8]> {
        take(&mut self.blobs, i).unwrap_or_default()
    }

    pub fn blob(&self, i: usize) -> &[u8] {
        self.blobs[i].as_deref().unwrap_or_default()
    }

    /// Bytes held, not counting what objects own.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + super::size::ARC_HEADER
            + self.objs.capacity() * size_of::<Option<O>>()
            + self.blobs.capacity() * size_of::<Option<Box<[u8]>>>()
            + self.blobs.iter().flatten().map(|b| b.len()).sum::<usize>()
    }
}

/// Puts `value` into a free slot, growing by small exact steps.
fn add<T>(slots: &mut Vec<Option<T>>, value: T) -> usize {
    if slots.len() == slots.capacity() {
        if let Some(i) = slots.iter().position(Option::is_none) {
            slots[i] = Some(value);
            return i;
        }
        slots.reserve_exact(1.max(slots.len() / 4));
    }
    slots.push(Some(value));
    slots.len() - 1
}

/// Empties a slot and drops trailing empty ones.
fn take<T>(slots: &mut Vec<Option<T>>, i: usize) -> Option<T> {
    let value = slots[i].take();
    while slots.last().is_some_and(Option::is_none) {
        slots.pop();
    }
    if slots.len() * 2 < slots.capacity() {
        slots.shrink_to(slots.len() + slots.len() / 4);
    }
    value
}
