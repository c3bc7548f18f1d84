//! Integer sets: arbitrary bytes are refused, or are a set that can be searched and changed like an
//! ordered set.

use std::collections::BTreeSet;

use basalt_formats::packed::Intset;

use crate::Input;
use crate::alloc::bounded;

const MOST_EDITS: usize = 300;

/// One case: a byte that says what to do; bytes of an intset, or of edits of an empty one.
pub fn intset(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        0 => edit(Intset::new(), BTreeSet::new(), &mut Input::new(rest)),
        1 => decode(rest.to_vec()),
        _ => decode(with_count(rest)),
    }
}

/// The bytes with the count of elements they have room for.
fn with_count(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let len = bytes.len();
    if let Some(header) = bytes.first_chunk_mut::<8>() {
        let width = 2 << (header[0] % 3);
        header[..4].copy_from_slice(&u32::to_le_bytes(width));
        let count = (len - 8) as u32 / width;
        header[4..].copy_from_slice(&count.to_le_bytes());
        bytes.truncate(8 + (count * width) as usize);
    }
    bytes
}

fn decode(bytes: Vec<u8>) {
    let Ok(set) = bounded(bytes.len(), || Intset::from_bytes(bytes.clone())) else {
        return;
    };
    assert_eq!(set.as_bytes(), &bytes[..]);
    let values: Vec<_> = set.iter().collect();
    assert_eq!(values.len(), set.len());
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
    for (index, &value) in values.iter().enumerate() {
        assert!(set.find(value));
        assert_eq!(set.get(index), Some(value));
    }
    let mut again = Intset::new();
    values.iter().for_each(|&value| assert!(again.add(value)));
    assert!(again.iter().eq(values.iter().copied()));
    let model = values.into_iter().collect();
    edit(set, model, &mut Input::new(&bytes));
}

fn edit(mut set: Intset, mut model: BTreeSet<i64>, input: &mut Input<'_>) {
    for _ in 0..MOST_EDITS {
        if input.is_empty() {
            break;
        }
        let value = match (input.byte() % 4, model.len()) {
            (0, len @ 1..) => {
                let at = input.below(len);
                *model.iter().nth(at).expect("as many")
            }
            _ => input.integer(),
        };
        assert_eq!(set.find(value), model.contains(&value));
        if input.byte() % 3 == 0 {
            assert_eq!(set.remove(value), model.remove(&value));
        } else {
            assert_eq!(set.add(value), model.insert(value));
        }
        assert_eq!(
            (set.len(), set.min(), set.max()),
            (model.len(), model.first().copied(), model.last().copied())
        );
    }
    assert!(set.iter().eq(model.iter().copied()));
    let again = Intset::from_bytes(set.as_bytes().to_vec()).expect("what was built is valid");
    assert!(again.iter().eq(model.iter().copied()));
}
