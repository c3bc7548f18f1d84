//! Runs fuzz targets on the stable toolchain, without libFuzzer.
//!
//! ```text
//! smoke [--seconds N | --cases N] [--seed N] [--jobs N] [--target NAME]
//! smoke --write-seeds FOLDER          the seeds as files, a folder for each target
//! smoke --target NAME FILE...         cases as they are
//! ```
//!
//! Each target first gets its seeds and what failed once, then seeds with bytes changed and random
//! pieces of its format. The same seed gives the same cases; a failing case is printed, and written
//! to a file that the last form takes. Every target runs in a process of its own, `--jobs` of them
//! at a time, so that one that runs out of stack or memory is known by name.

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use basalt_fuzz::mutate::{self, Random};
use basalt_fuzz::{TARGETS, Target, seeds};

/// A case that takes longer has failed.
const SLOW: Duration = Duration::from_secs(20);
/// Of so many cases one is made of pieces; the others are seeds with changes.
const PIECES_EACH: usize = 5;

struct Options {
    seconds: Option<u64>,
    cases: u64,
    seed: u64,
    jobs: usize,
    target: Option<String>,
    write_seeds: Option<PathBuf>,
    files: Vec<PathBuf>,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        seconds: None,
        cases: 20_000,
        seed: 1,
        jobs: 1,
        target: None,
        write_seeds: None,
        files: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text} is no number"));
        match arg.as_str() {
            "--seconds" => options.seconds = Some(number(value()?)?),
            "--cases" => options.cases = number(value()?)?,
            "--seed" => options.seed = number(value()?)?,
            "--jobs" => options.jobs = number(value()?)?.max(1) as usize,
            "--target" => options.target = Some(value()?),
            "--write-seeds" => options.write_seeds = Some(value()?.into()),
            other if other.starts_with('-') => return Err(format!("unknown option {other}")),
            file => options.files.push(file.into()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Some(folder) = &options.write_seeds {
        return match write_seeds(folder) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let passed = match &options.target {
        None => every(&options),
        Some(name) => match TARGETS.iter().find(|target| target.name == name) {
            Some(target) if options.files.is_empty() => one(target, &options),
            Some(target) => replay(target, &options.files),
            None => {
                eprintln!("no target {name}");
                false
            }
        },
    };
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Every target in a process of its own.
fn every(options: &Options) -> bool {
    let Ok(program) = std::env::current_exe() else {
        return false;
    };
    let (next, passed) = (AtomicUsize::new(0), AtomicBool::new(true));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(target) = TARGETS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut command = Command::new(&program);
                    command.args(["--target", target.name]);
                    command.args(["--seed", &options.seed.to_string()]);
                    command.args(["--cases", &options.cases.to_string()]);
                    if let Some(seconds) = options.seconds {
                        command.args(["--seconds", &seconds.to_string()]);
                    }
                    let ok = match command.output() {
                        Ok(output) => {
                            print!("{}", String::from_utf8_lossy(&output.stdout));
                            if !output.status.success() {
                                print!("{}", String::from_utf8_lossy(&output.stderr));
                                println!("FAIL {}: {}", target.name, output.status);
                            }
                            output.status.success()
                        }
                        Err(error) => {
                            println!("FAIL {}: {error}", target.name);
                            false
                        }
                    };
                    passed.fetch_and(ok, Ordering::Relaxed);
                }
            });
        }
    });
    passed.into_inner()
}

/// Runs one target until its cases or its time are up.
fn one(target: &Target, options: &Options) -> bool {
    let seeds = (target.seeds)();
    let failed_once = seeds::failed_once(target.name);
    let started = Instant::now();
    let enough = |number: u64| match options.seconds {
        Some(seconds) => number.is_multiple_of(16) && started.elapsed().as_secs() >= seconds,
        None => number >= options.cases,
    };
    let mut slowest = Duration::ZERO;
    let mut fails = |what: &str, data: &[u8]| {
        let began = Instant::now();
        let passed = catch_unwind(|| basalt_fuzz::run(target.name, data)).is_ok();
        let took = began.elapsed();
        slowest = slowest.max(took);
        if !passed || took > SLOW {
            report(target, what, took, data);
        }
        !passed || took > SLOW
    };
    for (name, data) in &failed_once {
        if fails(name, data) {
            return false;
        }
    }
    for (number, data) in seeds.iter().enumerate() {
        if fails(&format!("seed {number}"), data) {
            return false;
        }
    }
    let mut number = 0;
    while !enough(number) {
        let mut random =
            Random(options.seed.wrapping_mul(0x0100_0000_01b3) ^ number.wrapping_mul(0x9e37_79b9));
        let data = if seeds.is_empty() || random.below(PIECES_EACH) == 0 {
            mutate::pieces(&mut random, target.most)
        } else {
            mutate::changed(&mut random, &seeds)
        };
        if fails(&format!("--seed {}, case {number}", options.seed), &data) {
            return false;
        }
        number += 1;
    }
    let (took, all) = (
        started.elapsed().as_secs_f64(),
        number as usize + seeds.len() + failed_once.len(),
    );
    println!(
        "{:<14} {all:>9} executions, {:>7.0}/s, {took:.1} s, {} seeds, slowest {:.1} ms",
        target.name,
        all as f64 / took,
        seeds.len(),
        slowest.as_secs_f64() * 1000.0
    );
    true
}

fn report(target: &Target, what: &str, took: Duration, data: &[u8]) {
    let file = std::env::temp_dir().join(format!(
        "basalt-fuzz-{}-{:x}",
        target.name,
        basalt_formats::crc64::crc64(0, data)
    ));
    let written = std::fs::write(&file, data);
    println!(
        "FAIL {}: {what}, {} bytes, {:.1} s: {}{}",
        target.name,
        data.len(),
        took.as_secs_f64(),
        file.display(),
        written.map_or_else(|error| format!(" ({error})"), |()| String::new())
    );
    println!("     {}", data[..data.len().min(400)].escape_ascii());
}

fn replay(target: &Target, files: &[PathBuf]) -> bool {
    let mut passed = true;
    for file in files {
        match std::fs::read(file) {
            Ok(data) => passed &= catch_unwind(|| basalt_fuzz::run(target.name, &data)).is_ok(),
            Err(error) => {
                eprintln!("{}: {error}", file.display());
                passed = false;
            }
        }
    }
    passed
}

fn write_seeds(folder: &std::path::Path) -> std::io::Result<()> {
    TARGETS
        .iter()
        .try_for_each(|target| seeds::write(target, &folder.join(target.name)))
}
