//! [`Input`]: arbitrary bytes read as choices.

/// A cursor over the bytes of one case; at their end it reads zeros.
#[derive(Debug)]
pub struct Input<'a> {
    data: &'a [u8],
}

impl<'a> Input<'a> {
    /// Starts at the first byte.
    pub fn new(data: &'a [u8]) -> Input<'a> {
        Input { data }
    }

    /// Whether every byte was read.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.data.split_first() {
            Some((&first, rest)) => {
                self.data = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `n`, which must not be 0.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = usize::from(self.byte());
        if n > 256 {
            (wide << 8 | usize::from(self.byte())) % n
        } else {
            wide % n
        }
    }

    /// Up to `most` bytes as they are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = self.below(most + 1).min(self.data.len());
        let (taken, rest) = self.data.split_at(len);
        self.data = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.data)
    }

    /// A number whose size varies.
    pub fn integer(&mut self) -> i64 {
        let width = self.below(9);
        let mut bytes = [0; 8];
        for byte in bytes.iter_mut().take(width) {
            *byte = self.byte();
        }
        let value = i64::from_le_bytes(bytes);
        if self.byte() & 1 == 0 {
            value
        } else {
            value.wrapping_neg()
        }
    }
}
