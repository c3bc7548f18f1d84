//! Backups of small RDB entries through the whole crate, on good stores and on bad ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::crc16::key_slot;
use basalt_formats::rdb::Writer;

use super::create::{Counted, Creation, Parent, Plan, Sum, UploadState};
use super::join::join;
use super::prune::{Wish, prune};
use super::retention::Retention;
use super::verify::Verifier;
use super::{JobError, catalog};
use crate::repo::chunk::Codec;
use crate::repo::crypt::{Identities, NewIdentity, Recipients};
use crate::repo::manifest::{Database, Types};
use crate::repo::{BackupId, DigestKey, Manifest, RepositoryKey};
use crate::store::{BackupStore, Fault, FaultyStore, MemoryStore};

const WIDTH: u16 = 1024;
const NOON: i64 = 1_795_262_400_000;

type Data = BTreeMap<String, String>;

struct World {
    store: Arc<dyn BackupStore>,
    key: RepositoryKey,
    recipients: Recipients,
    identities: Identities,
    dir: tempfile::TempDir,
}

/// The beginning of a hash.
fn note(hasher: &blake3::Hasher) -> u128 {
    u128::from_be_bytes(hasher.finalize().as_bytes()[..16].try_into().unwrap())
}

impl World {
    fn encrypted(store: Arc<dyn BackupStore>) -> World {
        let new = NewIdentity::generate("now");
        World {
            store,
            key: RepositoryKey::of([3; 32]),
            recipients: Recipients::parse(&new.recipient).unwrap(),
            identities: Identities::parse(&new.file(None).unwrap(), || None).unwrap(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn index(&self) -> std::path::PathBuf {
        self.dir.path().join("index")
    }

    fn parent(&self) -> Result<Option<Parent>, JobError> {
        match std::fs::read(self.index()) {
            Ok(bytes) => Parent::find(&*self.store, Box::new(bytes)),
            Err(_) => Ok(None),
        }
    }

    /// A backup as the walk would make it; keys in `early` come before their turn.
    fn backup(&self, ms: i64, data: &Data, early: &[&str]) -> Result<Manifest, JobError> {
        let parent = self.parent()?;
        let plan = Plan {
            id: BackupId::new(ms, "ab", 1),
            lineage: "ab".into(),
            version: "0".into(),
            began_ms: ms,
            cut_ms: ms,
            commit_index: 7,
            codec: Codec::Zstd { level: 1 },
            recipients: self.recipients.clone(),
            key: self.key.clone(),
            spool_dir: std::env::temp_dir().into(),
            index: Some(self.index()),
            archive: None,
            remarks: Vec::new(),
        };
        let digests = DigestKey::new(self.key.digest_key());
        let mut counted = Counted::default();
        let state = Arc::new(UploadState::default());
        let mut creation = Creation::begin(self.store.clone(), plan, parent, WIDTH, state)?;
        let known = creation.known();
        type Entry<'e> = (&'e String, u128, Vec<u8>);
        let mut slots: BTreeMap<u16, Vec<Entry<'_>>> = BTreeMap::new();
        for (key, value) in data {
            let slot = key_slot(key.as_bytes());
            let mut hasher = digests.hasher();
            hasher.update(key.as_bytes()).update(value.as_bytes());
            let sum: &mut Sum = counted.sums.entry((0, slot - slot % WIDTH)).or_default();
            sum.keys += 1;
            sum.digest.add_hash(&hasher);
            let note = note(&hasher);
            if known.as_ref().is_some_and(|known| known.meet(note)) {
                continue;
            }
            let mut writer = Writer::new(false);
            writer.raw(&[0]);
            writer.string(key.as_bytes());
            writer.string(value.as_bytes());
            slots
                .entry(slot)
                .or_default()
                .push((key, note, writer.into_bytes()));
        }
        if !data.is_empty() {
            counted.databases.push(Database {
                db: 0,
                keys: data.len() as u64,
                expires: 0,
                types: Types {
                    string: data.len() as u64,
                    ..Types::default()
                },
            });
        }
        creation.functions(&[b"#!lua name=x\n".to_vec()])?;
        let put = |creation: &mut Creation, is_early: bool, slot: &u16| {
            for (key, note, bytes) in &slots[slot] {
                if early.contains(&key.as_str()) == is_early {
                    creation.entries(0, *slot, bytes)?;
                    creation.boundary(&[*note])?;
                }
            }
            Ok::<(), JobError>(())
        };
        for slot in slots.keys() {
            put(&mut creation, true, slot)?;
        }
        for slot in slots.keys() {
            creation.visit(0, *slot)?;
            put(&mut creation, false, slot)?;
        }
        creation.finish(&counted, || ms)
    }

    /// What comes back: the keys and values in the joined file.
    fn restore(&self, id: &BackupId) -> Result<Data, JobError> {
        use basalt_formats::rdb::file::{FileReader, Record};
        let (manifest, _) = catalog::open(&*self.store, id, &self.identities)?;
        let mut rdb = Vec::new();
        let bytes = join(
            &*self.store,
            &manifest,
            &self.identities,
            &[("redis-ver", "7.2.4")],
            None,
            &mut rdb,
            &|_, _| Ok(()),
        )?;
        assert_eq!(bytes, rdb.len() as u64);
        let mut reader = FileReader::new(&rdb).unwrap();
        let mut data = Data::new();
        loop {
            match reader.next_record().unwrap() {
                Record::Key(record) => {
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let value = &record.body[1..];
                    assert!(data.insert(text(&record.key), text(value)).is_none());
                }
                Record::Eof { .. } => return Ok(data),
                _ => {}
            }
        }
    }
}

/// Values begin with a letter, so that their bodies are a length and the text.
fn data(count: u32, value: &str) -> Data {
    (0..count)
        .map(|i| (format!("key:{i}"), format!("{value}{i}")))
        .collect()
}

fn memory() -> Arc<dyn BackupStore> {
    Arc::new(MemoryStore::new())
}

#[test]
fn what_goes_in_comes_out() {
    for encrypted in [true, false] {
        let mut world = World::encrypted(memory());
        if !encrypted {
            world.recipients = Recipients::default();
            world.identities = Identities::default();
        }
        for (day, count) in [0, 1, 5000].into_iter().enumerate() {
            let data = data(count, "value");
            let ms = NOON + day as i64;
            let manifest = world.backup(ms, &data, &["key:0", "key:77"]).unwrap();
            assert_eq!(manifest.keys(), u64::from(count));
            assert_eq!(world.restore(&manifest.id).unwrap(), data);
            let (_, wrong) = Verifier::default().backup(&*world.store, &manifest.id, &|| false);
            assert!(wrong.is_empty(), "{wrong:?}");
            let mut verifier = Verifier::default();
            let (_, wrong) = verifier.backup(&*world.store, &manifest.id, &|| true);
            let ended = matches!(wrong[..], [JobError::Cancelled]);
            assert!(verifier.objects == 0 && (ended || manifest.chunks.is_empty()));
        }
    }
}

#[test]
fn nothing_plain_is_stored() {
    let world = World::encrypted(memory());
    let data = data(3000, "a planted secret that must not show ");
    world.backup(NOON, &data, &["key:5"]).unwrap();
    for object in world.store.list(None, None, usize::MAX).unwrap() {
        let body = world.store.get(&object.name, u64::MAX).unwrap();
        for planted in [&b"planted secret th"[..], b"key:", b"#!lua name"] {
            let found = body.windows(planted.len()).any(|part| part == planted);
            assert!(!found, "{} holds {planted:?}", object.name);
        }
    }
}

#[test]
fn what_has_not_changed_is_not_uploaded_again() {
    let world = World::encrypted(memory());
    let mut data = data(5000, "value");
    let full = world.backup(NOON, &data, &[]).unwrap();
    let again = world.backup(NOON + 1, &data, &[]).unwrap();
    assert_eq!(again.digest, full.digest);
    assert_eq!((again.uploaded_bytes, &again.tables), (0, &full.tables));
    assert_eq!(again.parent, Some(full.id.clone()));
    data.insert("key:9".into(), "changed".into());
    data.remove("key:10");
    let changed = world.backup(NOON + 2, &data, &[]).unwrap();
    assert_ne!(changed.digest, full.digest);
    let sent = changed.uploaded_bytes - changed.tables.bytes;
    assert!(sent < 1000, "{sent}");
    assert_eq!(world.restore(&changed.id).unwrap(), data);
    // What comes early is found as well.
    let early = world
        .backup(NOON + 3, &data, &["key:11", "key:12"])
        .unwrap();
    assert_eq!((early.digest, early.uploaded_bytes), (changed.digest, 0));
    // A backup before still is what it was.
    assert_eq!(world.restore(&full.id).unwrap().len(), 5000);
    // Without the index everything goes again, and from there on it is as before.
    std::fs::write(world.index(), b"damaged").unwrap();
    let whole = world.backup(NOON + 4, &data, &[]).unwrap();
    assert_eq!((whole.parent.clone(), whole.digest), (None, changed.digest));
    assert!(whole.uploaded_bytes * 10 > full.uploaded_bytes * 9);
    assert_eq!(
        world.backup(NOON + 5, &data, &[]).unwrap().uploaded_bytes,
        0
    );
    // What the store has lost goes again.
    let lost = whole.chunks[3].name().unwrap();
    world.store.delete(&lost).unwrap();
    let healed = world.backup(NOON + 6, &data, &[]).unwrap();
    assert!(healed.uploaded_bytes > 0);
    assert_eq!(world.restore(&healed.id).unwrap(), data);
}

/// Backups of data that changes in every way, one after the other, against the data itself.
#[test]
fn a_long_chain_of_backups_comes_back() {
    let world = World::encrypted(memory());
    let mut data = data(3000, "value");
    let mut seed = 7u32;
    let mut random = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    let mut largest = 0;
    for round in 0..60i64 {
        for _ in 0..random(200) {
            let key = format!("key:{}", random(4000));
            if random(4) == 0 {
                data.remove(&key);
            } else {
                data.insert(key, format!("round{round}"));
            }
        }
        if round == 40 {
            data.clear();
        }
        let early: Vec<String> = (0..random(50)).map(|i| format!("key:{i}")).collect();
        let early: Vec<&str> = early.iter().map(String::as_str).collect();
        let manifest = world.backup(NOON + round, &data, &early).unwrap();
        assert_eq!(world.restore(&manifest.id).unwrap(), data, "round {round}");
        let dead: u64 = manifest.chunks.iter().map(|chunk| chunk.dead.len()).sum();
        assert!(
            dead <= manifest.keys() + 200,
            "{dead} dead in round {round}"
        );
        largest = largest.max(manifest.chunks.len());
    }
    assert!(largest < 16 + 1 + 40, "{largest} chunks");
}

#[test]
fn prune_keeps_what_is_needed_and_leaves_no_orphan() {
    let world = World::encrypted(memory());
    let mut data = data(2000, "value");
    const DAY: i64 = 24 * 3600 * 1000;
    let mut kept = Vec::new();
    for day in 0..6 {
        data.insert(format!("day:{day}"), "d".into());
        let manifest = world.backup(NOON + day * DAY, &data, &[]).unwrap();
        kept.push((manifest.id, data.clone()));
    }
    let mut wish = Wish {
        retention: "2d".parse().unwrap(),
        lineage: None,
        dry_run: true,
        now_ms: NOON + 6 * DAY,
    };
    let would = prune(&*world.store, &wish).unwrap();
    assert_eq!(catalog::ids(&*world.store).unwrap().len(), 6);
    wish.dry_run = false;
    let pruned = prune(&*world.store, &wish).unwrap();
    assert_eq!(pruned.backups, would.backups);
    assert_eq!((pruned.backups.len(), pruned.kept), (4, 2));
    for (id, data) in &kept[4..] {
        assert_eq!(world.restore(id).unwrap(), *data);
    }
    let needed: std::collections::HashSet<String> = catalog::all(&*world.store)
        .unwrap()
        .into_iter()
        .map(|listed| catalog::read(&*world.store, &listed.id).unwrap())
        .flat_map(|manifest| {
            let chunks = manifest.chunks.into_iter().map(|chunk| chunk.object);
            chunks.chain([manifest.tables.object])
        })
        .collect();
    for object in world.store.list(None, None, usize::MAX).unwrap() {
        if object.name.as_str().starts_with("objects/") {
            assert!(needed.contains(object.name.as_str()), "{}", object.name);
        }
    }
    assert_eq!(prune(&*world.store, &wish).unwrap().objects, 0);
}

#[test]
fn a_backup_under_way_is_left_alone() {
    let world = World::encrypted(memory());
    let old = world.backup(NOON, &data(50, "old"), &[]).unwrap();
    let new = world.backup(NOON + 1000, &data(50, "new"), &[]).unwrap();
    let lease = super::lease::Lease {
        id: BackupId::new(NOON + 2000, "ab", 2),
        parent: Some(old.id.clone()),
        began_ms: NOON + 2000,
    };
    lease.take(&*world.store).unwrap();
    let wish = |now_ms| Wish {
        retention: "1".parse::<Retention>().unwrap(),
        lineage: None,
        dry_run: false,
        now_ms,
    };
    let pruned = prune(&*world.store, &wish(NOON + 3000)).unwrap();
    assert_eq!((pruned.backups.len(), pruned.objects), (1, 0));
    // A day later nobody can be using it any more.
    let later = NOON + 2 * super::lease::LEASE_MS;
    assert!(prune(&*world.store, &wish(later)).unwrap().objects > 0);
    assert_eq!(world.restore(&new.id).unwrap(), data(50, "new"));
    assert!(super::lease::all(&*world.store).unwrap().is_empty());
}

/// Every operation of a backup fails once in each way: the backup before stays good, the new one is good or does not exist.
#[test]
fn a_fault_at_every_step() {
    for fault in [
        Fault::Fail,
        Fault::LoseReply,
        Fault::Tear(10),
        Fault::Corrupt(3),
        Fault::Crash,
    ] {
        for step in 0.. {
            let faulty = Arc::new(FaultyStore::new(memory()));
            let world = World::encrypted(faulty.clone());
            let (before, after) = (data(300, "before"), data(320, "after"));
            let first = world.backup(NOON, &before, &[]).unwrap();
            let calls = faulty.calls().len();
            faulty.fail_after(step, fault);
            let made = world.backup(NOON + 1, &after, &["key:3"]);
            let steps = faulty.calls().len() - calls;
            faulty.heal();
            assert_eq!(
                world.restore(&first.id).unwrap(),
                before,
                "{fault:?} at {step}"
            );
            for id in catalog::ids(&*world.store).unwrap() {
                if id == first.id {
                    continue;
                }
                let (_, wrong) = Verifier::default().backup(&*world.store, &id, &|| false);
                let restored = world.restore(&id);
                // A store that damages what it confirms, or keeps half of a manifest, is found out.
                match (&restored, wrong.is_empty()) {
                    (Ok(data), true) => assert_eq!(*data, after, "{fault:?} at {step}"),
                    (Err(_), _) | (Ok(_), false) => {
                        assert!(
                            matches!(fault, Fault::Corrupt(_) | Fault::Tear(_)),
                            "{fault:?} at {step}"
                        );
                    }
                }
            }
            if made.is_ok() && !matches!(fault, Fault::Corrupt(_)) {
                assert_eq!(catalog::ids(&*world.store).unwrap().len(), 2);
            }
            if step > steps {
                break;
            }
        }
    }
}

#[test]
fn cancelling_leaves_no_backup() {
    let world = World::encrypted(memory());
    let state = Arc::new(UploadState::default());
    let plan = Plan {
        id: BackupId::new(NOON, "ab", 1),
        lineage: "ab".into(),
        version: "0".into(),
        began_ms: NOON,
        cut_ms: NOON,
        commit_index: 0,
        codec: Codec::None,
        recipients: world.recipients.clone(),
        key: world.key.clone(),
        spool_dir: std::env::temp_dir().into(),
        index: None,
        archive: None,
        remarks: Vec::new(),
    };
    let mut creation =
        Creation::begin(world.store.clone(), plan, None, WIDTH, state.clone()).unwrap();
    creation.functions(&[b"#!lua name=x\n".to_vec()]).unwrap();
    state.cancel.store(true, Relaxed);
    let cancelled = creation.entries(0, 0, b"x");
    assert!(matches!(cancelled, Err(JobError::Cancelled)));
    drop(creation);
    assert!(catalog::ids(&*world.store).unwrap().is_empty());
    let left = world.store.list(None, None, usize::MAX).unwrap();
    let keys_only = left
        .iter()
        .all(|object| object.name.as_str().starts_with("keys/"));
    assert!(keys_only, "{left:?}");
}

#[test]
fn a_swapped_chunk_or_manifest_is_refused() {
    let world = World::encrypted(memory());
    let one = world.backup(NOON, &data(3000, "one"), &[]).unwrap();
    let two = world.backup(NOON + 1, &data(3000, "two"), &[]).unwrap();
    let name = |manifest: &Manifest, at: usize| manifest.chunks[at].name().unwrap();
    let get = |name| world.store.get(&name, u64::MAX).unwrap();
    // A chunk of the other backup, and another chunk of this one.
    for foreign in [get(name(&one, 1)), get(name(&two, 0))] {
        let good = get(name(&two, 1));
        world.store.put(&name(&two, 1), foreign).unwrap();
        assert!(world.restore(&two.id).is_err());
        world.store.put(&name(&two, 1), good).unwrap();
    }
    // The older manifest under the newer name.
    let manifest = |id| crate::repo::layout::manifest(id).unwrap();
    let (older, newer) = (get(manifest(&one.id)), get(manifest(&two.id)));
    world.store.put(&manifest(&two.id), older).unwrap();
    assert!(world.restore(&two.id).is_err());
    // One made by somebody else.
    let forged = two.to_bytes(&RepositoryKey::of([9; 32])).unwrap();
    world.store.put(&manifest(&two.id), forged.into()).unwrap();
    assert!(world.restore(&two.id).is_err());
    world.store.put(&manifest(&two.id), newer).unwrap();
    assert!(world.restore(&two.id).is_ok());
    // Plain instead of encrypted.
    let plain = World {
        recipients: Recipients::default(),
        ..World::encrypted(world.store.clone())
    };
    let swapped = plain.backup(NOON + 2, &data(5, "x"), &[]).unwrap();
    let refused = world.restore(&swapped.id);
    assert!(matches!(refused, Err(JobError::NotEncrypted(_))));
}
