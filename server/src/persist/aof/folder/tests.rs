//! The folder on a simulated disk. A base says which increment follows it: whatever fails and
//! whenever the power goes, the manifest names a base with the increment it was made for.

use basalt_engine::env::disk::{Crash, Fault, FaultKind, NameOrder, SimDisk};

use super::*;

const DIR: &str = "/aof";
const PREFIX: &str = "appendonly.aof";

fn open(disk: &SimDisk) -> Result<Folder, FolderError> {
    Folder::open(Arc::new(disk.clone()), DIR.into(), PREFIX, Lineage([7; 16]))
}

fn chain() -> Chain {
    Chain {
        next_index: 1,
        prev: 0,
        db: 0,
    }
}

/// Names another increment, as the writer does at a cut. `Ok(false)`: what follows goes on in
/// the current file, `Err`: nothing may.
fn rotate(folder: &mut Folder) -> Result<bool, DiskError> {
    if folder.create_incr(chain()).is_err() {
        return Ok(false);
    }
    if folder.store().is_ok() {
        return Ok(true);
    }
    folder.forget_incr()?;
    folder.drop_incr();
    Ok(false)
}

/// A rewrite: an increment, then the base that goes before it. `hidden` when only the base makes
/// the increment known.
fn rewrite(folder: &mut Folder, disk: &SimDisk, hidden: bool) -> bool {
    if hidden {
        if folder.create_incr(chain()).is_err() {
            return false;
        }
        folder.unpublished = true;
    } else if !matches!(rotate(folder), Ok(true)) {
        return false;
    }
    let Some(seq) = folder.manifest.incr.last().map(|info| info.seq) else {
        return false;
    };
    let temp = folder.dir().join("temp-rewriteaof-bg-1.aof");
    let written = disk.remove_if_there(&temp).and_then(|()| {
        let file = disk.create_new(&temp)?;
        file.append(seq.to_string().as_bytes())
            .map_err(|failed| failed.error)?;
        file.sync_data()
    });
    written.is_ok() && folder.publish_base(&temp, BaseFormat::Rdb, 1).is_ok()
}

/// What a start finds: the manifest's base is that of its first increment, and all is there.
fn check(disk: &SimDisk, what: &str) {
    let path = format!("{DIR}/{PREFIX}.manifest");
    let Some(bytes) = disk.peek(&path) else {
        return;
    };
    let manifest = match Manifest::parse(&bytes) {
        Ok(manifest) => manifest,
        Err(error) => panic!("{what}: {error}\n{}", disk.trace()),
    };
    for info in manifest.files() {
        let name = String::from_utf8_lossy(&info.name).into_owned();
        assert!(
            disk.peek(format!("{DIR}/{name}")).is_some(),
            "{what}: {name} is missing\n{}",
            disk.trace()
        );
    }
    if let Some(base) = &manifest.base {
        let name = String::from_utf8_lossy(&base.name).into_owned();
        let says = disk.peek(format!("{DIR}/{name}")).unwrap_or_default();
        let first = manifest.incr.first().map_or(0, |info| info.seq);
        assert_eq!(
            String::from_utf8_lossy(&says),
            first.to_string(),
            "{what}: {name} was made for another increment\n{}",
            disk.trace()
        );
    }
}

/// Rewrites with faults among them, then a crash and one more life.
fn run(seed: u64, faults: &[Fault], hidden: bool, order: NameOrder) -> bool {
    let what = format!("seed {seed}, {faults:?}, hidden {hidden}, {order:?}");
    let disk = SimDisk::new(seed).with_name_order(order);
    disk.put_dir("/");
    let mut folder = open(&disk).expect("a healthy disk");
    faults.iter().for_each(|fault| disk.inject(*fault));
    for round in 0..4 {
        // After a first one that has to make itself known.
        rewrite(&mut folder, &disk, round == 0 || hidden);
    }
    let came = disk.faults_waiting() == 0;
    disk.crash(Crash::Seeded);
    check(&disk, &what);
    let mut folder = open(&disk).expect("a healthy disk");
    assert!(rewrite(&mut folder, &disk, false), "{what}: the next life");
    disk.crash(Crash::Seeded);
    check(&disk, &what);
    came
}

#[test]
fn a_base_goes_with_its_increment_whatever_fails() {
    for (hidden, order) in [
        (false, NameOrder::Any),
        (true, NameOrder::Any),
        (false, NameOrder::Journal),
        (true, NameOrder::Journal),
    ] {
        for first in 1.. {
            let mut came = false;
            for second in 1..14 {
                let faults = [
                    Fault::nth(first, FaultKind::Eio),
                    Fault::nth(first + second, FaultKind::PowerCut),
                ];
                came |= run(first * 31 + second, &faults, hidden, order);
            }
            if !came {
                assert!(first > 20, "few calls were seen");
                break;
            }
        }
    }
}

#[test]
fn a_base_goes_with_its_increment_when_three_calls_fail() {
    for seed in 0..3000 {
        let faults = [
            Fault::nth(seed % 41 + 1, FaultKind::Eio),
            Fault::nth(seed % 41 + 1 + seed % 7 + 1, FaultKind::Eio),
            Fault::nth(
                seed % 41 + 1 + seed % 7 + 1 + seed % 17 + 1,
                FaultKind::PowerCut,
            ),
        ];
        run(seed, &faults, seed % 2 == 0, NameOrder::Journal);
    }
}

#[test]
fn a_number_is_not_given_out_again_after_a_failure() {
    let disk = SimDisk::new(1);
    disk.put_dir("/");
    let mut folder = open(&disk).expect("a folder");
    assert!(rewrite(&mut folder, &disk, true));
    // The last step, the sync of the names, fails in this one.
    let _armed = basalt_engine::env::failpoint::arm(
        "aof.manifest.after",
        basalt_engine::env::failpoint::Action::Error,
        1,
    );
    assert!(!rewrite(&mut folder, &disk, true));
    assert!(rewrite(&mut folder, &disk, true));
    let base = folder.manifest.base.as_ref().map(|info| info.seq);
    assert_eq!(base, Some(3), "the manifest may name the second one");
    let names = disk.list(Path::new(DIR)).expect("a list");
    let bases = names
        .iter()
        .filter(|name| name.to_string_lossy().contains(".base."));
    assert_eq!(bases.count(), 1, "{names:?}");
}
