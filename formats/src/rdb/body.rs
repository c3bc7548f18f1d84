//! [`Body`]: a value's content as it comes out of a reader.
//!
//! Packed containers come whole and checked. Everything else is a run that the caller takes
//! element by element, so that a value is built straight into its final shape. A run ends
//! after its last element or its first error.

mod ttl;

use std::borrow::Cow;

pub use ttl::{TtlField, TtlFields};

use super::{ObjectType, RdbError, Reader, StreamBody};
use crate::packed::{Intset, Listpack, PackedError, ziplist, zipmap};

/// Container numbers of a list's nodes.
const PLAIN: u64 = 1;
const PACKED: u64 = 2;

/// Why zipmaps, intsets and list nodes without content are refused. Redis takes other empty
/// collections for what an old fault of its own left behind, and passes over them.
const WITHOUT_ELEMENTS: PackedError = PackedError::TooShort {
    found: 0,
    needed: 1,
};

/// The content of a value.
#[derive(Debug)]
pub enum Body<'r, 'a> {
    /// A string.
    String(Cow<'a, [u8]>),
    /// Elements of a list.
    List(Strings<'r, 'a>),
    /// Elements of a list from one ziplist.
    ListPacked(Listpack),
    /// Nodes of a list.
    ListNodes(Nodes<'r, 'a>),
    /// Elements of a set.
    Set(Strings<'r, 'a>),
    /// A set of integers.
    SetInts(Intset),
    /// Elements of a small set.
    SetPacked(Listpack),
    /// Members and scores.
    Zset(Scored<'r, 'a>),
    /// Members and scores in turn, of a small sorted set.
    ZsetPacked(Listpack),
    /// Fields and values.
    Hash(Pairs<'r, 'a>),
    /// Fields and values in turn, of a small hash.
    HashPacked(Listpack),
    /// Fields and values in turn, from a zipmap: it was filled under other limits.
    HashZipmap(Listpack),
    /// Fields, values and when they expire.
    HashTtl(TtlFields<'r, 'a>),
    /// A stream; it may be empty.
    Stream(StreamBody),
}

impl<'r, 'a> Body<'r, 'a> {
    /// Takes a body off the reader, or begins to.
    ///
    /// # Errors
    /// Any [`RdbError`]; [`RdbError::Empty`] for a collection without elements that Redis passes
    /// over when it loads a file.
    pub fn read(kind: ObjectType, reader: &'r mut Reader<'a>) -> Result<Self, RdbError> {
        Ok(match kind {
            ObjectType::String => Body::String(reader.string()?),
            ObjectType::List => Body::List(Strings::begin(reader)?),
            ObjectType::Set => Body::Set(Strings::begin(reader)?),
            ObjectType::Hash => Body::Hash(Pairs::begin(reader)?),
            ObjectType::Zset => Body::Zset(Scored::begin(reader, true)?),
            ObjectType::Zset2 => Body::Zset(Scored::begin(reader, false)?),
            ObjectType::ListQuicklist => Body::ListNodes(Nodes::begin(reader, true)?),
            ObjectType::ListQuicklist2 => Body::ListNodes(Nodes::begin(reader, false)?),
            ObjectType::ListZiplist => Body::ListPacked(from_ziplist(reader)?),
            ObjectType::ZsetZiplist => Body::ZsetPacked(from_ziplist(reader)?),
            ObjectType::HashZiplist => Body::HashPacked(from_ziplist(reader)?),
            ObjectType::HashZipmap => {
                let list = zipmap::to_listpack(&reader.string()?)?;
                if list.is_empty() {
                    return Err(WITHOUT_ELEMENTS.into());
                }
                Body::HashZipmap(list)
            }
            ObjectType::SetIntset => {
                let ints = Intset::from_bytes(reader.string()?.into_owned())?;
                if ints.is_empty() {
                    return Err(WITHOUT_ELEMENTS.into());
                }
                Body::SetInts(ints)
            }
            ObjectType::SetListpack => Body::SetPacked(listpack(reader)?),
            ObjectType::ZsetListpack => Body::ZsetPacked(listpack(reader)?),
            ObjectType::HashListpack => Body::HashPacked(listpack(reader)?),
            ObjectType::StreamListpacks
            | ObjectType::StreamListpacks2
            | ObjectType::StreamListpacks3 => Body::Stream(StreamBody::read(kind, reader)?),
            ObjectType::HashMetadataPreGa
            | ObjectType::HashListpackExPreGa
            | ObjectType::HashMetadata
            | ObjectType::HashListpackEx
            | ObjectType::ValkeyHash2 => Body::HashTtl(TtlFields::begin(kind, reader)?),
            ObjectType::Module2 => return Err(RdbError::UnknownType(kind.byte())),
        })
    }
}

fn not_empty(list: Listpack) -> Result<Listpack, RdbError> {
    match list.is_empty() {
        true => Err(RdbError::Empty),
        false => Ok(list),
    }
}

fn listpack(reader: &mut Reader<'_>) -> Result<Listpack, RdbError> {
    not_empty(Listpack::from_bytes(reader.string()?.into_owned())?)
}

fn from_ziplist(reader: &mut Reader<'_>) -> Result<Listpack, RdbError> {
    not_empty(ziplist::to_listpack(&reader.string()?)?)
}

/// Counts elements down; after an error there are none.
fn next_of<T>(
    left: &mut usize,
    take: impl FnOnce() -> Result<T, RdbError>,
) -> Option<Result<T, RdbError>> {
    *left = left.checked_sub(1)?;
    let result = take();
    if result.is_err() {
        *left = 0;
    }
    Some(result)
}

/// A run of strings.
#[derive(Debug)]
pub struct Strings<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
}

impl<'r, 'a> Strings<'r, 'a> {
    fn begin(reader: &'r mut Reader<'a>) -> Result<Self, RdbError> {
        let left = reader.count(1)?;
        Ok(Self { reader, left })
    }

    /// How many are left, unless an error comes.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Strings<'_, 'a> {
    type Item = Result<Cow<'a, [u8]>, RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.left, || self.reader.string())
    }
}

/// A run of pairs of strings.
#[derive(Debug)]
pub struct Pairs<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
}

impl<'r, 'a> Pairs<'r, 'a> {
    fn begin(reader: &'r mut Reader<'a>) -> Result<Self, RdbError> {
        let left = reader.count(2)?;
        Ok(Self { reader, left })
    }

    /// How many are left, unless an error comes.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Pairs<'_, 'a> {
    type Item = Result<(Cow<'a, [u8]>, Cow<'a, [u8]>), RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.left, || {
            Ok((self.reader.string()?, self.reader.string()?))
        })
    }
}

/// A run of members with scores, none of them NaN.
#[derive(Debug)]
pub struct Scored<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
    as_text: bool,
}

impl<'r, 'a> Scored<'r, 'a> {
    fn begin(reader: &'r mut Reader<'a>, as_text: bool) -> Result<Self, RdbError> {
        let left = reader.count(if as_text { 2 } else { 9 })?;
        Ok(Self {
            reader,
            left,
            as_text,
        })
    }

    /// How many are left, unless an error comes.
    pub fn left(&self) -> usize {
        self.left
    }
}

impl<'a> Iterator for Scored<'_, 'a> {
    type Item = Result<(Cow<'a, [u8]>, f64), RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.left, || {
            let member = self.reader.string()?;
            let offset = self.reader.offset();
            let score = if self.as_text {
                self.reader.text_double()?
            } else {
                self.reader.double()?
            };
            if score.is_nan() {
                return Err(RdbError::BadScore { offset });
            }
            Ok((member, score))
        })
    }
}

/// One node of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawNode<'a> {
    /// Elements packed together; may be empty, which a reader is to skip.
    Packed(Listpack),
    /// One large element.
    Plain(Cow<'a, [u8]>),
}

/// A run of list nodes.
#[derive(Debug)]
pub struct Nodes<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: usize,
    ziplists: bool,
}

impl<'r, 'a> Nodes<'r, 'a> {
    fn begin(reader: &'r mut Reader<'a>, ziplists: bool) -> Result<Self, RdbError> {
        let left = reader.count(if ziplists { 1 } else { 2 })?;
        Ok(Self {
            reader,
            left,
            ziplists,
        })
    }

    fn take(reader: &mut Reader<'a>, ziplists: bool) -> Result<RawNode<'a>, RdbError> {
        let container = if ziplists { PACKED } else { reader.length()? };
        if container != PACKED && container != PLAIN {
            return Err(RdbError::BadContainer(container));
        }
        let content = reader.string()?;
        if content.is_empty() {
            return Err(WITHOUT_ELEMENTS.into());
        }
        Ok(match container {
            PLAIN => RawNode::Plain(content),
            _ if ziplists => RawNode::Packed(ziplist::to_listpack(&content)?),
            _ => RawNode::Packed(Listpack::from_bytes(content.into_owned())?),
        })
    }
}

impl<'a> Iterator for Nodes<'_, 'a> {
    type Item = Result<RawNode<'a>, RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_of(&mut self.left, || Self::take(self.reader, self.ziplists))
    }
}

impl super::Writer<'_> {
    /// Writes a list's node of packed elements.
    pub fn packed_node(&mut self, list: &Listpack) {
        self.len(PACKED as usize);
        self.string(list.as_bytes());
    }

    /// Writes a list's node of one element.
    pub fn plain_node(&mut self, element: &[u8]) {
        self.len(PLAIN as usize);
        self.string(element);
    }
}

#[cfg(test)]
mod tests;
