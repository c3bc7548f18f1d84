//! Ziplists and zipmaps: arbitrary bytes are refused, or become a listpack that, written as a
//! ziplist, comes back the same.

use basalt_formats::packed::ziplist::{self, ZiplistWriter};
use basalt_formats::packed::{Entry, Listpack, zipmap};

use crate::Input;
use crate::alloc::bounded;
use crate::listpack::with_length;

/// One case: a byte that says what to do; bytes of a ziplist or zipmap, or elements for one.
pub fn ziplist(data: &[u8]) {
    let Some((&mode, rest)) = data.split_first() else {
        return;
    };
    match mode % 4 {
        0 => write(&mut Input::new(rest)),
        1 => {
            if let Ok(list) = bounded(rest.len(), || zipmap::to_listpack(rest)) {
                assert_eq!(list.len() % 2, 0);
                again(&list);
            }
        }
        2 => decode(rest),
        _ => decode(&with_length(rest)),
    }
}

fn decode(bytes: &[u8]) {
    if let Ok(list) = bounded(bytes.len(), || ziplist::to_listpack(bytes)) {
        again(&list);
    }
}

fn again(list: &Listpack) {
    let mut writer = ZiplistWriter::new();
    for entry in list.iter() {
        assert!(match entry {
            Entry::Int(value) => writer.push_int(value),
            Entry::Str(text) => writer.push(text),
        });
    }
    let back = ziplist::to_listpack(&writer.finish()).expect("what was written is read");
    assert!(
        list.iter()
            .map(|e| e.to_vec())
            .eq(back.iter().map(|e| e.to_vec()))
    );
    assert!(Listpack::from_bytes(list.as_bytes().to_vec()).is_ok());
}

fn write(input: &mut Input<'_>) {
    let (mut writer, mut model) = (ZiplistWriter::new(), Vec::new());
    while !input.is_empty() && model.len() < 400 {
        let element = match input.below(4) {
            0 | 1 => input.integer().to_string().into_bytes(),
            2 => input.bytes(70).to_vec(),
            _ => vec![b'x'; input.below(20_000)],
        };
        if writer.push(&element) {
            model.push(element);
        }
    }
    let bytes = writer.finish();
    let list = ziplist::to_listpack(&bytes).expect("what was written is read");
    assert!(list.iter().map(|e| e.to_vec()).eq(model));
}
