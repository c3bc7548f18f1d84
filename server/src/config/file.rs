//! Reading a configuration: a file, its includes, standard input and the command line's options.
//!
//! The three sources are joined into one text in that order, so that a later line wins, and errors name the line of that
//! joined text as Redis does. A load either gives a whole configuration or an error that is ready to be printed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::access::lookup;
use super::args::StartPlan;
use super::directive::{Directive, ParseState, Reason};
use super::text::{glob, os_reason, split_args};
use super::{COMPAT_VERSION, Config};

/// A text longer than this is not a configuration.
const MAX_TEXT_BYTES: u64 = 64 << 20;
/// How deep files may include files; a file that includes itself ends here.
const MAX_INCLUDE_DEPTH: u32 = 64;
/// Old directives without a meaning since Redis 7; with one argument they are skipped.
const SKIPPED: [&[u8]; 3] = [
    b"list-max-ziplist-entries",
    b"list-max-ziplist-value",
    b"lua-replicate-commands",
];

/// Directives that other parts of the server can judge while the configuration is being read.
pub trait LoadHooks {
    /// A `user` line. An error is the word that is wrong and the reason.
    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), (Vec<u8>, String)> {
        let _ = words;
        Ok(())
    }

    /// A `rename-command` line; an error is one of `No such command in rename-command` and
    /// `Target command name already exists`.
    fn rename_command(&mut self, command: &[u8], new_name: &[u8]) -> Result<(), String> {
        let _ = (command, new_name);
        Ok(())
    }

    /// Opens the log file, so that a mistake stops the start. A check that must leave no trace may do less.
    fn open_log_file(&mut self, path: &Path) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true).open(path).map(drop)
    }
}

/// Accepts every line.
#[derive(Debug, Default)]
pub struct NoHooks;

impl LoadHooks for NoHooks {}

/// The result of a load.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What the operator should know, to be logged as warnings.
    pub warnings: Vec<String>,
}

/// Why a configuration could not be read. `Display` gives the text for the error output, in the form of Redis.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// A line is wrong.
    Line {
        /// The included file that the line is in; `None` for the main text.
        file: Option<PathBuf>,
        /// The line's number, counted from 1.
        line: usize,
        /// The line without blanks at its ends.
        text: Vec<u8>,
        /// What is wrong with it.
        reason: String,
    },
    /// The lines are right each on its own, but not together.
    Whole {
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be read.
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = format_args!("\n*** FATAL CONFIG FILE ERROR (Redis {COMPAT_VERSION}) ***\n")
            .to_string();
        match self {
            LoadError::Line {
                file,
                line,
                text,
                reason,
            } => {
                let text = String::from_utf8_lossy(text);
                let name = file
                    .as_ref()
                    .map(|path| format!(" '{}'", path.display()))
                    .unwrap_or_default();
                write!(
                    f,
                    "{header}Reading the configuration file{name}, at line {line}\n>>> '{text}'\n{reason}"
                )
            }
            LoadError::Whole { reason } => write!(f, "{header}{reason}"),
            LoadError::Open { path, reason } => {
                write!(
                    f,
                    "Fatal error, can't open config file '{}': {reason}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl Config {
    /// Reads the configuration that the command line asks for.
    ///
    /// `stdin` is only read when the plan says so.
    pub fn load(
        plan: &StartPlan,
        stdin: &mut dyn Read,
        hooks: &mut dyn LoadHooks,
    ) -> Result<Loaded, LoadError> {
        let mut text = Vec::new();
        if let Some(path) = &plan.config_file {
            read_file(path, &mut text)?;
        }
        if plan.from_stdin {
            // A file's last line need not end; the next source still begins on a line of its own.
            if text.last().is_some_and(|&last| last != b'\n') {
                text.push(b'\n');
            }
            read_text(stdin, Path::new("-"), &mut text)?;
        }
        text.push(b'\n');
        text.extend_from_slice(&plan.options);
        let mut reader = Reader::new(hooks);
        reader
            .loaded
            .config
            .config_file
            .clone_from(&plan.config_file);
        reader.text(&text, None)?;
        Ok(reader.loaded)
    }

    /// Reads a configuration from a text alone.
    pub fn from_text(text: &[u8]) -> Result<Loaded, LoadError> {
        let mut hooks = NoHooks;
        let mut reader = Reader::new(&mut hooks);
        reader.text(text, None)?;
        Ok(reader.loaded)
    }
}

fn read_file(path: &Path, text: &mut Vec<u8>) -> Result<(), LoadError> {
    let open = |error: io::Error| LoadError::Open {
        path: path.to_owned(),
        reason: os_reason(&error),
    };
    read_text(&mut File::open(path).map_err(open)?, path, text)
}

fn read_text(source: &mut dyn Read, path: &Path, text: &mut Vec<u8>) -> Result<(), LoadError> {
    let fail = |reason: String| LoadError::Open {
        path: path.to_owned(),
        reason,
    };
    source
        .take(MAX_TEXT_BYTES + 1)
        .read_to_end(text)
        .map_err(|error| fail(os_reason(&error)))?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        return Err(fail("File too large".to_owned()));
    }
    Ok(())
}

/// One load: the configuration so far, and what has to be remembered between lines.
struct Reader<'a> {
    loaded: Loaded,
    state: ParseState,
    depth: u32,
    hooks: &'a mut dyn LoadHooks,
}

/// Why a line failed: a reason, or the finished error of an included file.
enum LineError {
    Reason(String),
    Done(LoadError),
}

impl<T: Into<Reason>> From<T> for LineError {
    fn from(reason: T) -> Self {
        LineError::Reason(reason.into().into_owned())
    }
}

impl<'a> Reader<'a> {
    fn new(hooks: &'a mut dyn LoadHooks) -> Self {
        let loaded = Loaded {
            config: Config::default(),
            warnings: Vec::new(),
        };
        Reader {
            loaded,
            state: ParseState {
                from_file: true,
                save_seen: false,
            },
            depth: 0,
            hooks,
        }
    }

    fn text(&mut self, text: &[u8], file: Option<&Path>) -> Result<(), LoadError> {
        for (index, raw) in text.split(|&b| b == b'\n').enumerate() {
            let line = trim(raw);
            self.line(line).map_err(|error| match error {
                LineError::Done(error) => error,
                LineError::Reason(reason) => LoadError::Line {
                    file: file.map(Path::to_owned),
                    line: index.saturating_add(1),
                    text: line.to_vec(),
                    reason,
                },
            })?;
        }
        self.check_whole()
            .map_err(|reason| LoadError::Whole { reason })
    }

    fn line(&mut self, line: &[u8]) -> Result<(), LineError> {
        if matches!(line.first(), None | Some(b'#')) {
            return Ok(());
        }
        let words = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else {
            return Ok(());
        };
        let name = name.to_ascii_lowercase();
        if let Some((row, _)) = lookup(&name) {
            return self.directive(row, args);
        }
        let config = &mut self.loaded.config;
        match (name.as_slice(), args) {
            (old, [_]) if SKIPPED.contains(&old) => {}
            (b"include", [path]) => self.include(path)?,
            (b"rename-command", [command, new_name]) => {
                self.hooks.rename_command(command, new_name)?;
                config
                    .renamed_commands
                    .push((command.clone(), new_name.clone()));
            }
            (b"user", [_, ..]) => {
                self.hooks.user(args).map_err(|(word, reason)| {
                    format!(
                        "Error in user declaration '{}': {reason}",
                        String::from_utf8_lossy(&word)
                    )
                })?;
                config.users.push(args.to_vec());
            }
            (b"loadmodule", [_, ..]) => config.modules.push(args.to_vec()),
            (b"sentinel", [_, ..]) => {
                return Err("sentinel directive while not in sentinel mode".into());
            }
            (b"sentinel", []) => {}
            (option, []) if option.contains(&b'.') => {
                return Err("Module config specified without value".into());
            }
            (option, values) if option.contains(&b'.') => {
                config.module_options.retain(|(known, _)| known != option);
                config
                    .module_options
                    .push((option.to_vec(), values.join(&b' ')));
            }
            _ => return Err("Bad directive or wrong number of arguments".into()),
        }
        Ok(())
    }

    fn directive(&mut self, row: &'static Directive, args: &[Vec<u8>]) -> Result<(), LineError> {
        let split;
        let args = match args {
            // Several arguments may come as one quoted word.
            [one] if row.flags.multi_arg() && !one.is_empty() => {
                split = split_args(one).unwrap_or_default();
                &split
            }
            [_] => args,
            _ if row.flags.multi_arg() => args,
            _ => return Err("wrong number of arguments".into()),
        };
        // A line that fails ends the load, so a half-changed value is never seen.
        (row.parse)(&mut self.loaded.config, row, args, &mut self.state)?;
        Ok(())
    }

    fn include(&mut self, path: &[u8]) -> Result<(), LineError> {
        if self.depth >= MAX_INCLUDE_DEPTH {
            return Err("Too many nested include directives".into());
        }
        // Redis changes its directory as soon as it reads `dir`, so relative names count from there.
        let full = self.loaded.config.dir.join(OsStr::from_bytes(path));
        let wild = path.iter().any(|b| b"*?[".contains(b));
        let files = if wild {
            expand_pattern(&full)
        } else {
            vec![full]
        };
        self.depth += 1;
        for file in files {
            let mut text = Vec::new();
            read_file(&file, &mut text)
                .and_then(|()| self.text(&text, Some(&file)))
                .map_err(LineError::Done)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn check_whole(&mut self) -> Result<(), String> {
        let Loaded { config, warnings } = &mut self.loaded;
        if !config.logfile.is_empty() {
            // Opening it now is the only time that a mistake can still stop the start.
            let path = config.dir.join(&config.logfile);
            self.hooks
                .open_log_file(&path)
                .map_err(|error| format!("Can't open the log file: {}", os_reason(&error)))?;
        }
        if config.cluster_enabled && config.replicaof.0.is_some() {
            return Err("replicaof directive not allowed in cluster mode".to_owned());
        }
        if config.cluster_enabled && config.databases > 1 {
            warnings.push(format!(
                "WARNING: Changing databases number from {} to 1 since we are in cluster mode",
                config.databases
            ));
            config.databases = 1;
        }
        config.clamp();
        Ok(())
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let blank = |b: &u8| b" \t\r\n".contains(b);
    let start = line.iter().position(|b| !blank(b)).unwrap_or(line.len());
    let end = line
        .iter()
        .rposition(|b| !blank(b))
        .map_or(start, |last| last.saturating_add(1));
    line.get(start..end).unwrap_or_default()
}

/// The existing files that a pattern names, in byte order. `*` and `?` do not match a leading dot.
fn expand_pattern(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let bytes = part.as_os_str().as_bytes();
        if !bytes.iter().any(|b| b"*?[".contains(b)) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        found = found
            .iter()
            .flat_map(|dir| matches_in(dir, bytes))
            .collect();
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

fn matches_in(dir: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let hidden = pattern.first() == Some(&b'.');
    // File patterns may also negate with `!`.
    let mut pattern = pattern.to_vec();
    for at in 1..pattern.len() {
        if let Some([b'[', mark @ b'!']) = pattern.get_mut(at - 1..=at) {
            *mark = b'^';
        }
    }
    names
        .filter(|name| hidden || name.as_bytes().first() != Some(&b'.'))
        .filter(|name| glob(&pattern, name.as_bytes(), false))
        .map(|name| dir.join(name))
        .collect()
}
