//! The rules that some text directives have beyond being text.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::directive::Reason;

fn refuse_if(bad: bool, reason: &'static str) -> Result<(), Reason> {
    if bad { Err(reason.into()) } else { Ok(()) }
}

/// A file name for the snapshot, without a path.
pub(super) fn dbfilename(text: &str) -> Result<(), Reason> {
    refuse_if(
        text.contains(['/', '\\']),
        "dbfilename can't be a path, just a filename",
    )
}

/// The stem of the AOF's file names.
pub(super) fn appendfilename(text: &str) -> Result<(), Reason> {
    refuse_if(text.is_empty(), "appendfilename can't be empty")?;
    refuse_if(
        text.contains(['/', '\\']),
        "appendfilename can't be a path, just a filename",
    )
}

/// The name of the directory with the AOF.
pub(super) fn appenddirname(text: &str) -> Result<(), Reason> {
    refuse_if(text.is_empty(), "appenddirname can't be empty")?;
    refuse_if(
        text.contains(['/', '\\']),
        "appenddirname can't be a path, just a dirname",
    )
}

/// A host name that a cluster node announces.
pub(super) fn hostname(text: &str) -> Result<(), Reason> {
    refuse_if(
        text.len() >= 256,
        "Hostnames must be less than 256 characters",
    )?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    refuse_if(
        !text.bytes().all(plain),
        "Hostnames may only contain alphanumeric characters, hyphens or dots",
    )
}

/// A name for people, kept in nodes.conf, where these characters have a meaning.
pub(super) fn nodename(text: &str) -> Result<(), Reason> {
    let reserved = text.contains(|c| "!#$%&()*+:;<>?@[]^{|}~".contains(c));
    refuse_if(
        reserved,
        "Announced human node name contained invalid character",
    )
}

/// The id of a data set, or nothing.
pub(super) fn data_set_id(text: &str) -> Result<(), Reason> {
    let wrong = !text.is_empty() && text.parse::<crate::persist::lineage::DataSetId>().is_err();
    refuse_if(wrong, "data-set-id must have 32 hexadecimal digits")
}

/// A place for backups, or nothing.
pub(super) fn backup_url(text: &str) -> Result<(), Reason> {
    match basalt_backup::store::url::StoreUrl::parse(text) {
        Err(error) if !text.is_empty() => Err(error.to_string().into()),
        _ => Ok(()),
    }
}

/// A moment, latest, or nothing.
pub(super) fn restore_on_start(text: &str) -> Result<(), Reason> {
    let known = text.is_empty() || crate::backup::restore::moment_of(text).is_ok();
    refuse_if(
        !known,
        "restore-on-start is latest or a time such as 2026-11-21T08:00:00Z",
    )
}

/// Where a store is reached, or nothing.
pub(super) fn backup_endpoint(text: &str) -> Result<(), Reason> {
    let known = text.starts_with("http://") || text.starts_with("https://");
    refuse_if(
        !text.is_empty() && !known,
        "backup-endpoint begins with http:// or https://",
    )?;
    refuse_if(
        text.contains('@'),
        "credentials do not belong into backup-endpoint",
    )
}

/// Recipients of age.
pub(super) fn backup_recipients(text: &str) -> Result<(), Reason> {
    match basalt_backup::repo::crypt::Recipients::parse(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// A compression.
pub(super) fn backup_compression(text: &str) -> Result<(), Reason> {
    match text.parse::<basalt_backup::repo::chunk::Codec>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// Times for backups, or nothing.
pub(super) fn backup_schedule(text: &str) -> Result<(), Reason> {
    match basalt_backup::job::schedule::Schedule::parse(text, "") {
        Err(error) if !text.is_empty() => Err(error.to_string().into()),
        _ => Ok(()),
    }
}

/// A time zone.
pub(super) fn backup_time_zone(text: &str) -> Result<(), Reason> {
    match basalt_backup::job::schedule::Schedule::parse("0 0 * * *", text) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// How long backups are kept, or nothing: for ever.
pub(super) fn backup_retention(text: &str) -> Result<(), Reason> {
    match text.parse::<basalt_backup::job::retention::Retention>() {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// An IPv4 address, or nothing.
pub(super) fn ipv4(text: &str) -> Result<(), Reason> {
    refuse_if(
        !text.is_empty() && text.parse::<Ipv4Addr>().is_err(),
        "Invalid IPv4 address",
    )
}

/// An IPv6 address, or nothing.
pub(super) fn ipv6(text: &str) -> Result<(), Reason> {
    refuse_if(
        !text.is_empty() && text.parse::<Ipv6Addr>().is_err(),
        "Invalid IPv6 address",
    )
}

/// A template with known variables that does not come out empty.
pub(super) fn proc_title_template(text: &str) -> Result<(), Reason> {
    let value = |name: &str| match name {
        "title" | "server-mode" | "unixsocket" => Some(String::new()),
        "listen-addr" => Some("*:0".to_owned()),
        "config-file" => Some("-".to_owned()),
        "port" | "tls-port" => Some("0".to_owned()),
        _ => None,
    };
    let empty = expand_template(text, value).is_none_or(|title| title.trim_matches(' ').is_empty());
    refuse_if(
        empty,
        "template format is invalid or contains unknown variables",
    )
}

/// Replaces each `{name}` by its value; `{{` is a brace. `None` for an unknown name or an open brace.
pub fn expand_template(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((text, tail)) = rest.split_once('{') {
        out.push_str(text);
        if let Some(tail) = tail.strip_prefix('{') {
            out.push('{');
            rest = tail;
        } else {
            let (name, tail) = tail.split_once('}')?;
            out.push_str(&value(name)?);
            rest = tail;
        }
    }
    out.push_str(rest);
    Some(out)
}
