//! The commands on repositories without a server.

use std::os::unix::fs::PermissionsExt;

use crate::tool::{FAILURE, SUCCESS, USAGE, capture};

fn run(args: &[&str]) -> (u8, String, String) {
    let args: Vec<&std::ffi::OsStr> = args.iter().map(std::ffi::OsStr::new).collect();
    capture(&args)
}

#[test]
fn an_identity_is_written_once_and_only_for_its_owner() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("identity.txt");
    let text = path.to_str().expect("UTF-8");
    let (code, out, _) = run(&["keygen", "-o", text]);
    assert_eq!(code, SUCCESS);
    assert!(out.starts_with("age1"), "{out}");
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&path).expect("readable");
    let (code, out, err) = run(&["keygen", "-o", text]);
    assert_eq!((code, out.as_str()), (FAILURE, ""));
    assert!(err.contains("identity.txt"), "{err}");
    assert_eq!(std::fs::read(&path).expect("readable"), before);
}

#[test]
fn an_empty_or_missing_repository() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().to_str().expect("UTF-8");
    let (code, out, _) = run(&["list", text, "--json"]);
    assert_eq!(
        (code, out.as_str()),
        (SUCCESS, "{\"backups\":[],\"moments\":[],\"ok\":true}\n")
    );
    // Nothing to verify is no good news.
    assert_eq!(run(&["verify", text]).0, FAILURE);
    let target = dir.path().join("target");
    let target = target.to_str().expect("UTF-8");
    let (code, _, err) = run(&["restore", text, "--to", target]);
    assert_eq!(code, FAILURE);
    assert!(err.contains("there is no backup"), "{err}");
    assert!(!dir.path().join("target").exists());
    for command in ["list", "verify"] {
        let (code, _, err) = run(&[command, "/nonexistent/repository"]);
        assert_eq!(code, FAILURE);
        assert!(err.contains("/nonexistent/repository"), "{err}");
    }
}

#[test]
fn wrong_words() {
    assert_eq!(run(&["list"]).0, USAGE);
    assert_eq!(run(&["prune", "/tmp"]).0, USAGE);
    assert_eq!(run(&["prune", "/tmp", "--retention", "7 days"]).0, USAGE);
    let (code, _, err) = run(&["list", "s3://AKIA:topsecret@bucket"]);
    assert_eq!(code, FAILURE);
    assert!(!err.contains("topsecret"), "{err}");
}

#[test]
fn a_place_from_a_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("repository")).expect("a directory");
    let config = dir.path().join("basalt.conf");
    let line = format!("backup-url {}/repository\n", dir.path().display());
    std::fs::write(&config, line).expect("written");
    let config = config.to_str().expect("UTF-8");
    let (code, out, err) = run(&["list", "--config", config]);
    assert_eq!((code, err.as_str()), (SUCCESS, ""));
    assert!(out.starts_with("backup "), "{out}");
}

#[test]
fn a_store_is_fit_or_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().to_str().expect("UTF-8");
    let (code, out, err) = run(&["check-store", text]);
    assert_eq!((code, err.as_str()), (SUCCESS, ""));
    assert!(out.contains("fit for backups"), "{out}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0);
    let (code, _, err) = run(&["check-store", "/nonexistent/repository"]);
    assert_eq!(code, FAILURE);
    assert!(err.contains("/nonexistent/repository"), "{err}");
}
