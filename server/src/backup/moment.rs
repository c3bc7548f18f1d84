//! The data of a moment in memory: a backup loaded into an engine, and the log behind it run there.
//!
//! For what the log as a file cannot give: some of the keys of a moment, or one RDB file of it. It takes the memory of the data set.
//!
//! Invariant: there is a [`Moment`] only if the backup had the digest of its cut and every command of the log up to the moment
//! succeeded, as it did when the log was made.

use std::io::Write;
use std::sync::Arc;

use basalt_backup::job::each::each_chunk;
use basalt_backup::job::{JobError, archive};
use basalt_backup::repo::Chunk;
use basalt_engine::command::args;
use basalt_engine::load::LoadOptions;
use basalt_engine::script::libraries::Policy;
use basalt_engine::snapshot::{Progress, SaveOptions, Wanted};
use basalt_engine::{Engine, Reply, Session, shown};
use basalt_formats::aof::{AofReader, Record};

use super::drill::Drill;
use super::restore::{Failure, Opened, Tick};
use crate::persist::snapshots::all_cores;
use crate::server::unix_ms;

/// Databases there are; one that is not used costs next to nothing.
const DATABASES: usize = 1024;

/// See the head of this file.
pub struct Moment {
    engine: Engine,
    /// Effects of the log in it.
    pub effects: u64,
}

impl Moment {
    /// Loads a backup, proves it, and runs the log up to a moment, or all of it.
    ///
    /// # Errors
    /// The backup is not what it was, the log does not reach so far, or it cannot be run.
    pub fn load(
        opened: &Opened<'_>,
        until_ms: Option<i64>,
        tick: Tick<'_>,
    ) -> Result<Moment, Failure> {
        // What is missing is said before anything is read.
        let route = opened.route(until_ms)?;
        let mut moment = Moment {
            engine: Engine::new(DATABASES),
            effects: 0,
        };
        let drill = Drill::new(&opened.manifest, &opened.key);
        let chunks: Vec<&Chunk> = opened.manifest.chunks.iter().collect();
        let prove = |chunk: &Chunk, rdb: &[u8]| drill.chunk(chunk, rdb);
        each_chunk(
            opened.store,
            &chunks,
            opened.identities,
            &prove,
            |chunk, rdb| {
                tick(chunk.bytes);
                moment.add(chunk, rdb)
            },
        )?;
        drill.finish(&opened.manifest)?;
        let mut session = Session::new(0);
        session.replaying = true;
        for stored in &route.segments {
            let content = archive::read(opened.store, stored, opened.identities, &opened.key)?;
            let mut commands = Vec::new();
            moment.effects += archive::replay(&stored.name, &content, until_ms, &mut commands)?;
            let run = moment.run(&mut session, &commands);
            run.map_err(|error| format!("{}: {error}", stored.name))?;
        }
        Ok(moment)
    }

    /// Adds a chunk.
    fn add(&self, chunk: &Chunk, rdb: &[u8]) -> Result<(), JobError> {
        let options = LoadOptions {
            now_ms: 0,
            checksum: true,
            threads: all_cores(),
            keep_expired: true,
            replace: false,
        };
        let failed = |reason: String| JobError::Content {
            name: chunk.object.clone(),
            reason,
        };
        let loaded = self.engine.load_rdb(rdb, &options, &Progress::default());
        let functions = loaded.map_err(|error| failed(error.to_string()))?.functions;
        let codes: Vec<&[u8]> = functions.iter().map(Vec::as_slice).collect();
        if !codes.is_empty() {
            let done = self.engine.scripts.load_libraries(&codes, Policy::Append);
            done.map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    /// Runs commands of the log.
    fn run(&self, session: &mut Session, commands: &[u8]) -> Result<(), Failure> {
        let mut reader = AofReader::new(commands);
        let mut reply = Reply::new(2);
        while let Some(record) = reader.next_record()? {
            let Record::Command(command) = record else {
                continue;
            };
            let words = command.args.iter();
            let words: Vec<&[u8]> = words
                .map(|range| commands.get(range.clone()).unwrap_or_default())
                .collect();
            let is = |at: usize, name: &str| {
                words
                    .get(at)
                    .is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
            };
            // What is in a transaction is there whole, and nobody looks on.
            if is(0, "multi") || is(0, "exec") {
                continue;
            }
            if is(0, "select") {
                let number = words.get(1).copied().unwrap_or_default();
                session.db = args::database(number, DATABASES)
                    .map_err(|_| format!("database {} is out of range here", shown(number)))?;
                continue;
            }
            if is(0, "function") && is(1, "load") {
                let code = words.last().copied().unwrap_or_default();
                // It may be in the base already, if it was loaded at the moment of the cut.
                self.engine
                    .scripts
                    .load_libraries(&[code], Policy::Replace)?;
                continue;
            }
            reply.buf.clear();
            self.engine.execute(session, &words, &mut reply, unix_ms());
            if let Some(error) = reply.buf.strip_prefix(b"-") {
                let name = words.first().copied().unwrap_or_default();
                return Err(
                    format!("'{}' cannot be run again: {}", shown(name), shown(error)).into(),
                );
            }
        }
        Ok(())
    }

    /// Writes it, or what is wanted of its keys, as one RDB file; bytes written. Function libraries are only in the whole.
    ///
    /// # Errors
    /// What was written is then no file.
    pub fn write(
        &self,
        remarks: &[(&str, &str)],
        wanted: Option<Arc<Wanted>>,
        out: &mut dyn Write,
    ) -> Result<u64, Failure> {
        let aux = remarks.iter();
        let mut options = SaveOptions {
            checksum: true,
            threads: all_cores(),
            aux: aux
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            ..SaveOptions::default()
        };
        let (snapshot, progress) = (self.engine.snapshot(unix_ms()), Progress::default());
        let mut put = |bytes: &[u8]| out.write_all(bytes);
        let saved = match wanted {
            Some(wanted) => {
                snapshot.write_selected(&self.engine, &options, wanted, &mut put, &progress)
            }
            None => {
                options.functions = self.engine.scripts.libraries.codes();
                snapshot.write_rdb(&self.engine, &options, &mut put, &progress)
            }
        }?;
        out.flush()?;
        Ok(saved.bytes)
    }
}
