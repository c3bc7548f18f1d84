//! Listpacks and intsets: arbitrary bytes are refused or walk safely, and edits agree with a
//! plain vector or ordered set.

use std::collections::BTreeSet;

use basalt_formats::packed::{Intset, Listpack};

use crate::Input;

/// One half of the cases decodes, the other edits.
pub fn packed(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => decode(input.rest()),
        1 => edit_intset(&mut input),
        _ => edit_listpack(&mut input),
    }
}

fn decode(bytes: &[u8]) {
    // A wrong length in the header hides everything behind it: try with the right one, too.
    let mut fixed = bytes.to_vec();
    if let (Ok(len), Some(header)) = (u32::try_from(bytes.len()), fixed.get_mut(..4)) {
        header.copy_from_slice(&len.to_le_bytes());
    }
    for bytes in [bytes.to_vec(), fixed] {
        if let Ok(list) = Listpack::from_bytes(bytes.clone()) {
            let forward: Vec<_> = list.iter().map(|e| e.to_vec()).collect();
            assert_eq!(forward.len(), list.len());
            let mut back = Vec::new();
            let mut at = list.last();
            while let Some(offset) = at {
                back.push(list.entry(offset).to_vec());
                at = list.prev(offset);
            }
            back.reverse();
            assert_eq!(forward, back);
        }
        if let Ok(set) = Intset::from_bytes(bytes) {
            let values: Vec<_> = set.iter().collect();
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(values.iter().all(|&v| set.find(v)));
        }
    }
}

fn element(input: &mut Input<'_>) -> Vec<u8> {
    match input.below(8) {
        0..=2 => input.integer().to_string().into_bytes(),
        3..=5 => input.bytes(20).to_vec(),
        6 => vec![input.byte(); input.below(300)],
        _ => vec![b'x'; 60 + input.below(5000)],
    }
}

fn edit_listpack(input: &mut Input<'_>) {
    let mut list = Listpack::new();
    let mut model: Vec<Vec<u8>> = Vec::new();
    while !input.is_empty() {
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

fn edit_intset(input: &mut Input<'_>) {
    let (mut set, mut model) = (Intset::new(), BTreeSet::new());
    while !input.is_empty() {
        let value = input.integer();
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
    assert!(Intset::from_bytes(set.as_bytes().to_vec()).is_ok());
}
