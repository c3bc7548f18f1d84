//! Function libraries, kept whole: their code as it was loaded.
//!
//! Libraries are part of the data set. They come from FUNCTION LOAD, snapshots, logs and FUNCTION
//! RESTORE, and go back into every file written. What they registered when they were loaded is
//! kept beside the code; the functions themselves are in the Lua state.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::ScriptFlags;
use crate::shown;

/// Longest first line that is read.
const MAX_SHEBANG: usize = 64 * 1024;

/// One library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name: letters, digits and underscores.
    pub name: Vec<u8>,
    /// The engine, in upper case as it is listed.
    pub engine: String,
    /// The whole code with the first line.
    pub code: Arc<[u8]>,
    /// What it registered, in that order.
    pub functions: Vec<FunctionInfo>,
}

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name: letters, digits and underscores.
    pub name: Vec<u8>,
    /// What its author says of it.
    pub description: Option<Vec<u8>>,
    /// What it may do.
    pub flags: ScriptFlags,
}

/// A function as FCALL finds it.
#[derive(Debug)]
pub(super) struct Callable {
    pub name: Vec<u8>,
    /// The name for messages.
    pub shown: String,
    pub flags: ScriptFlags,
}

/// Whether these are letters, digits and underscores, and not none.
pub(super) fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(fits)
}

/// Why code is no library, or cannot be added, in Redis's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// The code does not begin with `#!`.
    #[error("Missing library metadata")]
    NoMetadata,
    /// The first line does not end, or its quotes do not match.
    #[error("Invalid library metadata")]
    BadMetadata,
    /// `name=` comes twice.
    #[error("Invalid metadata value, name argument was given multiple times")]
    NameTwice,
    /// A word of the first line is unknown.
    #[error("Invalid metadata value given: {0}")]
    UnknownWord(String),
    /// There is no `name=`.
    #[error("Library name was not given")]
    NoName,
    /// The name has other characters than it may.
    #[error(
        "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
    )]
    BadName,
    /// Nobody knows the engine.
    #[error("Engine '{0}' not found")]
    NoEngine(String),
    /// A library of this name is there already, as FUNCTION RESTORE says it.
    #[error("Library {0} already exists")]
    Exists(String),
    /// As FUNCTION LOAD says it.
    #[error("Library '{0}' already exists")]
    LoadExists(String),
    /// A function of this name is there already, in another library.
    #[error("Function {0} already exists")]
    FunctionExists(String),
    /// The code does not compile.
    #[error("Error compiling function: {0}")]
    Compile(String),
    /// The code failed when it was run to register its functions.
    #[error("Error registering functions: {0}")]
    Register(String),
    /// It registered none.
    #[error("No functions registered")]
    NoFunctions,
    /// The Lua state failed.
    #[error("Error registering functions: {0}")]
    State(String),
}

impl Library {
    /// The library of this code.
    ///
    /// # Errors
    /// When the first line does not name an engine and a library.
    pub fn parse(code: &[u8]) -> Result<Library, LibraryError> {
        let rest = code.strip_prefix(b"#!").ok_or(LibraryError::NoMetadata)?;
        let end = rest
            .iter()
            .take(MAX_SHEBANG)
            .position(|byte| *byte == b'\n')
            .ok_or(LibraryError::BadMetadata)?;
        let line = rest.get(..end).unwrap_or_default();
        let words = basalt_formats::words::split_args(line).ok_or(LibraryError::BadMetadata)?;
        // A space right behind `#!` leaves the engine's name empty.
        let unnamed = line.first().is_none_or(u8::is_ascii_whitespace);
        let (engine, options) = match words.split_first() {
            _ if unnamed => (&[][..], words.as_slice()),
            Some((engine, options)) => (engine.as_slice(), options),
            None => return Err(LibraryError::BadMetadata),
        };
        let mut name = None;
        for word in options {
            match word.split_at_checked(5) {
                Some((key, value)) if key.eq_ignore_ascii_case(b"name=") => {
                    if name.replace(value.to_vec()).is_some() {
                        return Err(LibraryError::NameTwice);
                    }
                }
                _ => return Err(LibraryError::UnknownWord(shown(word))),
            }
        }
        let name = name.ok_or(LibraryError::NoName)?;
        if !is_name(&name) {
            return Err(LibraryError::BadName);
        }
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(LibraryError::NoEngine(shown(engine)));
        }
        Ok(Library {
            name,
            engine: "LUA".into(),
            code: code.into(),
            functions: Vec::new(),
        })
    }

    /// The code without its first line, whose end stays so that lines keep their numbers.
    pub(super) fn body(&self) -> &[u8] {
        let end = self.code.iter().position(|&byte| byte == b'\n');
        self.code.get(end.unwrap_or(0)..).unwrap_or_default()
    }
}

/// How libraries that come together meet those that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// A name that is there already is an error.
    Append,
    /// A library takes the place of that with its name.
    Replace,
    /// They take the place of all.
    Flush,
}

/// All libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: BTreeMap<Vec<u8>, Library>,
    /// By the names of functions in lower case.
    functions: HashMap<Vec<u8>, Arc<Callable>>,
}

impl Known {
    /// The libraries have changed.
    fn index(&mut self) {
        let functions = self.by_name.values().flat_map(|library| &library.functions);
        let callable = |function: &FunctionInfo| Callable {
            name: function.name.clone(),
            shown: shown(&function.name),
            flags: function.flags,
        };
        self.functions = functions
            .map(|f| (f.name.to_ascii_lowercase(), Arc::new(callable(f))))
            .collect();
    }
}

impl Libraries {
    /// Adds these, all or none.
    ///
    /// # Errors
    /// [`LibraryError::Exists`], also for two new ones of one name.
    pub(super) fn add(&self, new: Vec<Library>, policy: Policy) -> Result<(), LibraryError> {
        let mut adding = BTreeMap::new();
        for library in new {
            if let Some(twice) = adding.insert(library.name.clone(), library) {
                return Err(LibraryError::Exists(shown(&twice.name)));
            }
        }
        let known = &mut *self.known.lock();
        let by_name = &mut known.by_name;
        if policy == Policy::Append
            && let Some(there) = adding.keys().find(|name| by_name.contains_key(*name))
        {
            return Err(LibraryError::Exists(shown(there)));
        }
        let staying = by_name
            .values()
            .filter(|library| policy != Policy::Flush && !adding.contains_key(&library.name));
        let mut taken = HashSet::new();
        for library in staying.chain(adding.values()) {
            for function in &library.functions {
                if !taken.insert(function.name.to_ascii_lowercase())
                    && adding.contains_key(&library.name)
                {
                    return Err(LibraryError::FunctionExists(shown(&function.name)));
                }
            }
        }
        match policy {
            Policy::Flush => *by_name = adding,
            Policy::Append | Policy::Replace => by_name.append(&mut adding),
        }
        known.index();
        Ok(())
    }

    /// Removes one; whether it was there.
    pub(super) fn remove(&self, name: &[u8]) -> bool {
        let known = &mut *self.known.lock();
        let removed = known.by_name.remove(name).is_some();
        known.index();
        removed
    }

    /// Removes all.
    pub(super) fn clear(&self) {
        *self.known.lock() = Known::default();
    }

    /// Whether there is one of this name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.known.lock().by_name.contains_key(name)
    }

    /// The function of this name, in any letter case.
    pub(super) fn function(&self, name: &[u8]) -> Option<Arc<Callable>> {
        let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(name);
        lower.make_ascii_lowercase();
        self.known.lock().functions.get(&lower[..]).cloned()
    }

    /// How many functions there are in all.
    pub fn function_count(&self) -> usize {
        self.known.lock().functions.len()
    }

    /// All, in order of their names.
    pub fn all(&self) -> Vec<Library> {
        self.known.lock().by_name.values().cloned().collect()
    }

    /// The code of all, as files hold it.
    pub fn codes(&self) -> Vec<Vec<u8>> {
        self.known
            .lock()
            .by_name
            .values()
            .map(|library| library.code.to_vec())
            .collect()
    }

    /// Bytes that they take outside of Lua.
    pub fn bytes(&self) -> usize {
        let known = self.known.lock();
        let of = |library: &Library| {
            let functions = library.functions.iter();
            let infos = functions.map(|f| size_of::<FunctionInfo>() + f.name.len());
            size_of::<Library>() + library.code.len() + library.name.len() + infos.sum::<usize>()
        };
        known.by_name.values().map(of).sum()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.lock().by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str) -> Library {
        Library::parse(format!("#!lua name={name}\ncode").as_bytes()).expect("a library")
    }

    #[test]
    fn the_first_line_names_engine_and_library() {
        let library = Library::parse(b"#!LUA NAME=My_lib1\nreturn 1").expect("a library");
        assert_eq!(library.name, b"My_lib1");
        assert_eq!(library.engine, "LUA");
        assert_eq!(&*library.code, b"#!LUA NAME=My_lib1\nreturn 1");
        for (code, error) in [
            (&b"return 1"[..], LibraryError::NoMetadata),
            (b"#!lua name=a", LibraryError::BadMetadata),
            (b"#!lua name=\"a\ncode", LibraryError::BadMetadata),
            (b"#!lua\ncode", LibraryError::NoName),
            (b"#!lua name=a name=b\ncode", LibraryError::NameTwice),
            (
                b"#!lua x=1 name=b\n",
                LibraryError::UnknownWord("x=1".into()),
            ),
            (b"#!lua name=a-b\n", LibraryError::BadName),
            (b"#!lua name=\n", LibraryError::BadName),
            (b"#!js name=a\n", LibraryError::NoEngine("js".into())),
        ] {
            assert_eq!(Library::parse(code), Err(error), "{}", shown(code));
        }
    }

    #[test]
    fn policies() {
        let store = Libraries::default();
        store
            .add(vec![library("a"), library("b")], Policy::Append)
            .expect("new");
        let twice = store.add(vec![library("c"), library("a")], Policy::Append);
        assert_eq!(twice, Err(LibraryError::Exists("a".into())));
        assert_eq!(store.len(), 2);
        let twice = store.add(vec![library("c"), library("c")], Policy::Flush);
        assert_eq!(twice, Err(LibraryError::Exists("c".into())));
        store
            .add(vec![library("c"), library("a")], Policy::Replace)
            .expect("replaced");
        assert_eq!(store.len(), 3);
        store.add(vec![library("z")], Policy::Flush).expect("alone");
        assert_eq!(store.codes(), [b"#!lua name=z\ncode".to_vec()]);
        assert!(store.remove(b"z") && !store.remove(b"z"));
        assert!(store.is_empty());
    }
}
