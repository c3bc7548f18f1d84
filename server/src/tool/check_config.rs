//! `basalt check-config FILE`: would the server start with this file?
//!
//! The server's own parser reads it, includes and all. The one difference: the server creates its log file while it reads;
//! a check, perhaps run as another user, must not leave one behind that the server then cannot open.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::{FAILURE, SUCCESS};
use crate::acl::UserLines;
use crate::config::{Config, LoadError, LoadHooks, StartPlan};

/// Accepts the lines that the server accepts, and leaves the file system as it is.
#[derive(Default)]
struct NoTrace {
    users: UserLines,
}

impl LoadHooks for NoTrace {
    fn user(&mut self, words: &[Vec<u8>]) -> Result<(), (Vec<u8>, String)> {
        self.users.user(words)
    }

    fn open_log_file(&mut self, path: &Path) -> io::Result<()> {
        match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It would be created, for which at least its folder has to be there.
                let folder = path
                    .parent()
                    .filter(|folder| !folder.as_os_str().is_empty());
                match fs::metadata(folder.unwrap_or(Path::new(".")))?.is_dir() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::NotADirectory.into()),
                }
            }
            other => other.map(drop),
        }
    }
}

/// Prints what the server would say of the file.
pub(super) fn run(file: &Path, out: &mut dyn Write) -> io::Result<u8> {
    let plan = StartPlan {
        config_file: Some(std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
        ..StartPlan::default()
    };
    match Config::load(&plan, &mut io::empty(), &mut NoTrace::default()) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                writeln!(out, "{}: {warning}", file.display())?;
            }
            writeln!(out, "{}: ok", file.display())?;
            Ok(SUCCESS)
        }
        Err(error) => {
            explain(file, &error, out)?;
            Ok(FAILURE)
        }
    }
}

fn explain(file: &Path, error: &LoadError, out: &mut dyn Write) -> io::Result<()> {
    match error {
        LoadError::Line {
            file: included,
            line,
            text,
            reason,
        } => {
            let file = included.as_deref().unwrap_or(file).display();
            writeln!(out, "{file}:{line}: {reason}")?;
            writeln!(out, "    {}", String::from_utf8_lossy(text))
        }
        LoadError::Whole { reason } => writeln!(out, "{}: {reason}", file.display()),
        LoadError::Open { path, reason } => writeln!(out, "{}: {reason}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::capture;
    use super::*;

    fn check(file: &Path) -> (u8, String) {
        let (code, out, err) = capture(&["check-config".as_ref(), file.as_os_str()]);
        assert_eq!(err, "");
        (code, out.replace(&file.display().to_string(), "FILE"))
    }

    fn check_text(text: &str) -> (u8, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.conf");
        fs::write(&file, text).unwrap();
        check(&file)
    }

    #[test]
    fn a_good_file() {
        let text = "# comment\nport 7000\nmaxmemory 1gb\nsave 60 1\n";
        assert_eq!(check_text(text), (SUCCESS, "FILE: ok\n".into()));
        assert_eq!(check_text(""), (SUCCESS, "FILE: ok\n".into()));
    }

    #[test]
    fn an_error_has_its_line() {
        let (code, out) = check_text("port 7000\n\n  prot 7001\n");
        assert_eq!(code, FAILURE);
        let reason = "Bad directive or wrong number of arguments";
        assert_eq!(out, format!("FILE:3: {reason}\n    prot 7001\n"));
    }

    #[test]
    fn an_error_in_an_included_file_has_that_file() {
        let folder = tempfile::tempdir().unwrap();
        let (file, included) = (
            folder.path().join("x.conf"),
            folder.path().join("more.conf"),
        );
        fs::write(
            &file,
            format!("port 7000\ninclude {}\n", included.display()),
        )
        .unwrap();
        let (code, out) = check(&file);
        assert_eq!(code, FAILURE);
        assert!(
            out.starts_with(&format!("{}: ", included.display())),
            "{out}"
        );
        fs::write(&included, "hz 10\nhz ten\n").unwrap();
        let (code, out) = check(&file);
        assert_eq!(code, FAILURE);
        assert!(
            out.starts_with(&format!("{}:2: ", included.display())),
            "{out}"
        );
        assert!(out.ends_with("\n    hz ten\n"), "{out}");
    }

    #[test]
    fn warnings_are_no_errors() {
        let (code, out) = check_text("cluster-enabled yes\ndatabases 4\n");
        assert_eq!(code, SUCCESS);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines[0].starts_with("FILE: WARNING: Changing databases number from 4 to 1"));
        assert_eq!(lines[1], "FILE: ok");
    }

    #[test]
    fn lines_that_do_not_go_together() {
        let (code, out) = check_text("cluster-enabled yes\nreplicaof 127.0.0.1 7000\n");
        let text = "FILE: replicaof directive not allowed in cluster mode\n";
        assert_eq!((code, out.as_str()), (FAILURE, text));
    }

    #[test]
    fn a_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let (code, out) = check(&folder.path().join("none.conf"));
        assert_eq!(
            (code, out.as_str()),
            (FAILURE, "FILE: No such file or directory\n")
        );
    }

    #[test]
    fn the_log_file_is_judged_but_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        assert_eq!(
            check_text(&format!("logfile {}\n", log.display())).0,
            SUCCESS
        );
        assert!(!log.exists());
        let nowhere = folder.path().join("none/server.log");
        let (code, out) = check_text(&format!("logfile {}\n", nowhere.display()));
        assert_eq!(code, FAILURE);
        assert_eq!(
            out,
            "FILE: Can't open the log file: No such file or directory\n"
        );
        let (code, out) = check_text(&format!("logfile {}\n", folder.path().display()));
        assert_eq!(code, FAILURE, "{out}");
    }
}
