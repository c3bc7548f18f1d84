//! Listpacks: arbitrary bytes are refused, or can be walked from both ends and edited like a plain
//! vector.

use basalt_formats::packed::{Listpack, Needle};

use crate::Input;
use crate::alloc::bounded;

/// Enough to come to any state.
const MOST_EDITS: usize = 150;

/// One case: a byte that says what to do; bytes of a listpack, or of edits of an empty one.
pub fn listpack(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        0 => edit(Listpack::new(), Vec::new(), &mut Input::new(rest)),
        1 => decode(rest.to_vec()),
        _ => decode(with_length(rest)),
    }
}

/// The bytes with their number in front, as a listpack has it: with a wrong one nothing behind
/// it is looked at.
pub fn with_length(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let (Ok(len), Some(header)) = (u32::try_from(bytes.len()), bytes.get_mut(..4)) {
        header.copy_from_slice(&len.to_le_bytes());
    }
    bytes
}

fn decode(bytes: Vec<u8>) {
    let Ok(list) = bounded(bytes.len(), || Listpack::from_bytes(bytes.clone())) else {
        return;
    };
    let forward: Vec<_> = list.iter().map(|e| e.to_vec()).collect();
    assert_eq!(forward.len(), list.len());
    // A count that says "too many to tell" is made right where it can be told.
    assert_eq!(list.as_bytes().len(), bytes.len());
    assert_eq!(list.as_bytes().get(6..), bytes.get(6..));
    let mut back = Vec::new();
    let mut at = list.last();
    while let Some(offset) = at {
        back.push(list.entry(offset).to_vec());
        at = list.prev(offset);
    }
    back.reverse();
    assert_eq!(forward, back);
    for (index, element) in forward.iter().enumerate().take(64) {
        let behind = index as i64 - forward.len() as i64;
        for index in [index as i64, behind] {
            assert!(list.get(index).is_some_and(|e| e.eq_bytes(element)));
        }
        let matched = list.match_offsets(&Needle::new(element), 1, true);
        let first = matched.first().map(|&at| list.entry(at).to_vec());
        assert_eq!(first.as_ref(), Some(element));
    }
    // Written anew it may be shorter, as servers do not always choose the shortest form.
    let mut again = Listpack::new();
    forward.iter().for_each(|element| again.push_back(element));
    assert!(again.iter().map(|e| e.to_vec()).eq(forward.iter().cloned()));
    assert!(Listpack::from_bytes(again.into_bytes()).is_ok());
    edit(list, forward, &mut Input::new(&bytes));
}

fn element(input: &mut Input<'_>) -> Vec<u8> {
    match input.below(8) {
        0..=2 => input.integer().to_string().into_bytes(),
        3..=5 => input.bytes(20).to_vec(),
        6 => vec![input.byte(); input.below(300)],
        _ => vec![b'x'; 60 + input.below(5000)],
    }
}

/// Changes a list and a vector alike.
fn edit(mut list: Listpack, mut model: Vec<Vec<u8>>, input: &mut Input<'_>) {
    for _ in 0..MOST_EDITS {
        if input.is_empty() {
            break;
        }
        let index = input.below(model.len().max(1));
        let offset = list.seek(index as i64);
        assert_eq!(offset.is_some(), index < model.len());
        match (input.below(10), offset) {
            (0 | 1, _) => {
                let value = element(input);
                list.push_back(&value);
                model.push(value);
            }
            (2, _) => {
                let value = element(input);
                list.push_front(&value);
                model.insert(0, value);
            }
            (3, Some(offset)) => {
                let value = element(input);
                list.insert_before(offset, &value);
                model.insert(index, value);
            }
            (4, Some(offset)) => {
                let value = element(input);
                list.replace(offset, &value);
                model[index] = value;
            }
            (5, Some(offset)) => {
                list.delete(offset);
                model.remove(index);
            }
            (6, _) => {
                let count = input.below(4);
                list.delete_range(index as i64, count);
                let end = (index + count).min(model.len());
                model.drain(index.min(end)..end);
            }
            (7, _) => {
                let tail = list.split_off(index);
                let model_tail = model.split_off(index.min(model.len()));
                assert_eq!(tail.len(), model_tail.len());
                list.merge(tail);
                model.extend(model_tail);
            }
            (8, Some(first)) => {
                let value = element(input);
                let found = list
                    .find(first, &value, 0)
                    .map(|o| list.iter().count() - list.iter_from(o).count());
                assert_eq!(
                    found,
                    model
                        .iter()
                        .skip(index)
                        .position(|v| *v == value)
                        .map(|i| i + index)
                );
            }
            _ => {}
        }
        assert_eq!(list.len(), model.len());
    }
    assert!(list.iter().map(|e| e.to_vec()).eq(model.iter().cloned()));
    let bytes = list.into_bytes();
    assert_eq!(
        bytes.len() as u32,
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    );
    let again = Listpack::from_bytes(bytes).expect("what was built is valid");
    assert_eq!(again.len(), model.len());
}
