//! `--salvage OUT`: all that can be trusted, written to another place.
//!
//! The result is a log without checksums, for the lines of the old ones would no longer fit. Where something was left out, a
//! `SELECT` is put in, so that what follows goes to the database it belongs to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use basalt_formats::aof::{PieceKind, Salvage, check};
use serde_json::json;

use super::cut::sync_folder;
use super::files::{Log, NamedFile};
use super::{Stop, print};

#[derive(Default)]
struct Counts {
    proven: u64,
    plain: u64,
    uncertain: u64,
    lost_bytes: u64,
    lost_preamble: bool,
}

/// Writes a file for a file, and a folder with a manifest for a manifest.
pub(super) fn run(
    log: &Log,
    target: &Path,
    out: &mut dyn Write,
    findings: &mut print::Findings,
) -> Result<(), Stop> {
    let fail =
        |error: io::Error| Stop::Refused(format!("Cannot write {}: {error}", target.display()));
    let mut total = Counts::default();
    match &log.manifest {
        None => {
            for file in &log.files {
                copy(file, target, &mut total, out, findings)?;
            }
        }
        Some((path, manifest)) => {
            findings.manifest(path);
            fs::create_dir(target).map_err(fail)?;
            for file in &log.files {
                let name = file.path.file_name().unwrap_or_default();
                copy(file, &target.join(name), &mut total, out, findings)?;
            }
            let mut plain = manifest.clone();
            plain.lineage = None;
            let _ = plain.take_history();
            let name = path.file_name().unwrap_or_default();
            write_new(&target.join(name), &plain.to_bytes()).map_err(fail)?;
        }
    }
    let Counts {
        proven,
        plain,
        uncertain,
        lost_bytes,
        lost_preamble,
    } = total;
    writeln!(
        out,
        "Salvaged {} commands into {}: {proven} with a checksum, {plain} without. {lost_bytes} bytes were left out.",
        proven + plain,
        target.display()
    )?;
    if uncertain > 0 {
        writeln!(
            out,
            "{uncertain} commands may belong to another database: the SELECT before them may be among what was left out."
        )?;
    }
    if lost_preamble {
        writeln!(
            out,
            "The RDB part is damaged: the keys that are only there are not salvaged."
        )?;
    }
    findings.salvaged(json!({
        "into": target.to_string_lossy(),
        "proven_commands": proven,
        "plain_commands": plain,
        "uncertain_database_commands": uncertain,
        "left_out_bytes": lost_bytes,
        "lost_rdb_part": lost_preamble,
    }));
    Ok(())
}

fn copy(
    file: &NamedFile,
    target: &Path,
    total: &mut Counts,
    out: &mut dyn Write,
    findings: &mut print::Findings,
) -> Result<(), Stop> {
    let fail =
        |error: io::Error| Stop::Refused(format!("Cannot write {}: {error}", target.display()));
    let mapped = match file.open() {
        Ok(mapped) => mapped,
        Err(reason) => {
            // What is there of the others is still worth having.
            writeln!(out, "{reason}")?;
            total.lost_preamble |= file.is_base();
            write_new(target, b"").map_err(fail)?;
            return Ok(());
        }
    };
    let bytes = mapped.bytes();
    let report = check(bytes);
    findings.file(file, &report);
    print::verdict(out, &report)?;
    let mut salvaged = Vec::new();
    let mut db = 0;
    let mut kept = 0;
    let mut preamble = false;
    let mut pieces = Salvage::new(bytes);
    for piece in &mut pieces {
        preamble |= piece.kind == PieceKind::Preamble;
        kept += piece.bytes.len();
        piece.append_to(bytes, &mut db, &mut salvaged);
        match piece.kind {
            PieceKind::Proven => total.proven += piece.commands,
            PieceKind::Plain => total.plain += piece.commands,
            PieceKind::Preamble => {}
        }
        if !piece.db_is_known {
            total.uncertain += piece.commands;
        }
    }
    total.lost_bytes += (bytes.len() - kept - pieces.line_bytes()) as u64;
    total.lost_preamble |= basalt_formats::aof::has_preamble(bytes) && !preamble;
    write_new(target, &salvaged).map_err(fail)?;
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync_folder(path)
}
