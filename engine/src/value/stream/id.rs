//! IDs of entries, as the rest of the engine names them. Reading them from the words of a
//! request is the commands' business.

pub use basalt_formats::packed::stream::{IdText, StreamId};
