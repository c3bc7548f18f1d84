//! The writing half of [`Keyspace`]: putting, changing, taking and removing entries, and
//! their expiry. Counts, waiting clients and the log are kept in step here.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use basalt_formats::num;

use super::access;
use super::header::{Header, INLINE_MAX, Kind, LONG};
use super::notify::NotifyClass;
use super::view::{EMBSTR_MAX, Keyspace, Look, Place, StringEncoding, Ttl};
use crate::session::OwnedArgs;
use crate::value::Value;

impl Keyspace<'_> {
    pub(super) fn object_mut(&mut self, place: Place, key: &[u8]) -> Option<&mut Value> {
        self.table_mut(place)?.get_mut_hashed(place.hash, key)?.obj
    }

    /// The access field of a value that replaces one with this header: overwriting counts as
    /// one more use of the key.
    #[inline]
    fn lru_of_new(&self, old: Option<Header>) -> u32 {
        match old {
            Some(old) if self.clock.is_lfu() => {
                access::touched(old.lru, &self.clock).unwrap_or(old.lru)
            }
            _ => self.clock.fresh(),
        }
    }

    /// Writes a string, over whatever the key held; the look-up of a write is part of it.
    pub fn set_string(&mut self, key: &[u8], bytes: &[u8], encoding: StringEncoding, ttl: Ttl) {
        let place = self.place(key);
        let kind = string_kind(bytes, encoding);
        let mut old = self
            .find(place, key)
            .map(|found| (found.header, found.bytes.len(), found.value.is_some()));
        if old.is_some_and(|(header, ..)| header.is_expired(self.due_ms)) {
            self.expire_now(place, key);
            old = None;
        }
        let lru = self.lru_of_new(old.map(|(header, ..)| header));
        let expire_ms = match (ttl, old) {
            (Ttl::Clear, _) | (Ttl::Keep, None) => None,
            (Ttl::Keep, Some((header, ..))) => header.expire_ms,
            (Ttl::At(at), _) => Some(at),
        };
        let header = Header {
            kind,
            expire_ms,
            lru,
            fields_ms: None,
        };
        if let Some((old_header, old_len, false)) = old
            && old_len == bytes.len()
            && old_header.expire_ms == expire_ms
            && let Some(entry) = self
                .table_mut(place)
                .and_then(|table| table.get_mut_hashed(place.hash, key))
        {
            Header::patch(entry.payload, kind, lru);
            if let Some(inline) = entry.payload.get_mut(header.encoded_len()..) {
                inline.copy_from_slice(bytes);
            }
            return;
        }
        let mut buf = [0; LONG];
        let head = header.encode(&mut buf);
        if bytes.len() <= INLINE_MAX {
            self.write_entry(
                place,
                key,
                old.map(|(h, ..)| h),
                &header,
                &[head, bytes],
                None,
            );
        } else {
            let raw = Value::Str(Arc::new(bytes.to_vec()));
            self.write_entry(
                place,
                key,
                old.map(|(h, ..)| h),
                &header,
                &[head],
                Some(raw),
            );
        }
    }

    /// Changes the bytes of a string in place; the result has encoding `raw`. A missing key is
    /// made. O(change) for long strings, O(length) for short ones.
    pub fn edit_string<R>(&mut self, key: &[u8], edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let place = self.place(key);
        if let Some(Value::Str(raw)) = self.object_mut(place, key) {
            return edit(Arc::make_mut(raw));
        }
        let (mut bytes, expire_ms) = self
            .find(place, key)
            .map(|found| (found.bytes.to_vec(), found.header.expire_ms))
            .unwrap_or_default();
        let result = edit(&mut bytes);
        if bytes.len() > INLINE_MAX {
            self.insert_at(place, key, Value::Str(Arc::new(bytes)), expire_ms);
        } else {
            self.set_string(key, &bytes, StringEncoding::Raw, Ttl::Keep);
        }
        result
    }

    /// Puts a value under a key, over whatever it held.
    pub fn insert(&mut self, key: &[u8], value: Value, expire_ms: Option<i64>) {
        self.insert_at(self.place(key), key, value, expire_ms);
    }

    pub(super) fn insert_at(
        &mut self,
        place: Place,
        key: &[u8],
        value: Value,
        expire_ms: Option<i64>,
    ) {
        if let Value::Str(raw) = &value
            && raw.len() <= INLINE_MAX
        {
            let ttl = expire_ms.map_or(Ttl::Clear, Ttl::At);
            return self.set_string(key, &raw.clone(), StringEncoding::Length, ttl);
        }
        let mut old = self.find(place, key).map(|found| found.header);
        if old.is_some_and(|header| header.is_expired(self.due_ms)) {
            self.expire_now(place, key);
            old = None;
        }
        let header = Header {
            kind: value.kind(),
            expire_ms,
            lru: self.lru_of_new(old),
            fields_ms: value.next_field_expiry(),
        };
        let mut buf = [0; LONG];
        let head = header.encode(&mut buf);
        self.write_entry(place, key, old, &header, &[head], Some(value));
    }

    fn write_entry(
        &mut self,
        place: Place,
        key: &[u8],
        old: Option<Header>,
        new: &Header,
        payload: &[&[u8]],
        obj: Option<Value>,
    ) {
        let blocking_type = !new.kind.is_string();
        let replaced = self
            .table_or_create(place)
            .put_hashed(place.hash, key, payload, obj);
        let mut lost = false;
        if let Some(old) = replaced
            && let Some(obj) = old.obj
        {
            self.engine.lazy_free(obj);
            lost = self.engine.blocked.minds_loss(self.db, key);
        }
        let counts = self.counts(place);
        counts.note_times(old, Some(*new));
        if old.is_none() {
            counts.add_keys(1);
        }
        if lost || blocking_type && self.engine.blocked.any() {
            self.ready.push((self.db, key.into()));
        }
        if old.is_none() {
            self.notify(NotifyClass::NEW, "new", key);
        }
    }

    /// Removes a key, expired or not. O(1); big values are freed in the background.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.remove_at(self.place(key), key)
    }

    fn remove_at(&mut self, place: Place, key: &[u8]) -> bool {
        let Some((payload, obj)) = self
            .table_mut(place)
            .and_then(|table| table.remove_hashed(place.hash, key))
        else {
            return false;
        };
        if let Some(obj) = obj {
            self.engine.lazy_free(obj);
            if self.engine.blocked.minds_loss(self.db, key) {
                self.ready.push((self.db, key.into()));
            }
        }
        let counts = self.counts(place);
        counts.add_keys(-1);
        counts.note_times(Some(Header::decode(&payload).0), None);
        true
    }

    /// Takes a live key out with its value and expiry, for RENAME and MOVE.
    pub fn take(&mut self, key: &[u8]) -> Option<(Value, Option<i64>)> {
        let (value, header) = self.clone_value(key)?;
        self.remove(key);
        Some((value, header.expire_ms))
    }

    /// The value of a live key, shared (O(1) for all but short strings), with its header.
    pub fn clone_value(&mut self, key: &[u8]) -> Option<(Value, Header)> {
        let found = self.look(key, Look::SILENT)?;
        let value = match found.value {
            Some(value) => value.clone(),
            None => Value::Str(Arc::new(found.bytes.to_vec())),
        };
        Some((value, found.header))
    }

    /// Puts a value taken or cloned from another key, with the string encoding it had there.
    pub fn put_value(&mut self, key: &[u8], value: Value, kind: Kind, expire_ms: Option<i64>) {
        match (&value, kind) {
            (Value::Str(raw), _) if raw.len() <= INLINE_MAX => {
                let encoding = match kind {
                    Kind::Int => StringEncoding::Auto,
                    Kind::Embstr => StringEncoding::Length,
                    _ => StringEncoding::Raw,
                };
                let raw = raw.clone();
                self.set_string(key, &raw, encoding, expire_ms.map_or(Ttl::Clear, Ttl::At));
            }
            _ => self.insert(key, value, expire_ms),
        }
    }

    /// Sets or removes the expiry of a live key; whether the key exists.
    pub fn set_expire(&mut self, key: &[u8], expire_ms: Option<i64>) -> bool {
        let place = self.place(key);
        let Some(found) = self.look_at(place, key, Look::SILENT) else {
            return false;
        };
        let old = found.header;
        self.rewrite_header(place, key, old, Header { expire_ms, ..old });
        true
    }

    /// Gives the entry of a key another header.
    fn rewrite_header(&mut self, place: Place, key: &[u8], old: Header, new: Header) {
        let table = self.table_or_create(place);
        if let Some((payload, obj)) = table.remove_hashed(place.hash, key) {
            let mut buf = [0; LONG];
            let head = new.encode(&mut buf);
            table.put_hashed(place.hash, key, &[head, Header::decode(&payload).1], obj);
            self.counts(place).note_times(Some(old), Some(new));
        }
    }

    /// To be called after times of a hash's fields were changed: active expiry finds the hash
    /// by the earliest.
    pub fn note_field_times(&mut self, key: &[u8]) {
        self.note_field_times_at(self.place(key), key);
    }

    fn note_field_times_at(&mut self, place: Place, key: &[u8]) {
        if let Some(found) = self.find(place, key) {
            let old = found.header;
            let fields_ms = found.value.and_then(Value::next_field_expiry);
            if old.fields_ms != fields_ms {
                self.rewrite_header(place, key, old, Header { fields_ms, ..old });
            }
        }
    }

    /// Takes out up to `most` fields of a hash that are past their time, with the events and
    /// the log; the key goes with the last field. Gives how many there were.
    ///
    /// Fields go at the first look at the key, a read's as well, so that no command ever
    /// meets one that is past its time.
    pub(super) fn expire_fields(&mut self, place: Place, key: &[u8], most: usize) -> usize {
        let now_ms = self.due_ms;
        let due = matches!(
            self.find(place, key).and_then(|found| found.value),
            Some(Value::Hash(hash)) if hash.next_expiry().is_some_and(|at| now_ms > at)
        );
        let mut gone = Vec::new();
        let mut empty = false;
        if due && let Some(Value::Hash(hash)) = self.object_mut(place, key) {
            let hash = Arc::make_mut(hash);
            gone = hash.take_due(now_ms, most);
            empty = hash.is_empty();
        }
        if empty {
            self.remove_at(place, key);
        } else {
            self.note_field_times_at(place, key);
        }
        if gone.is_empty() {
            return 0;
        }
        self.engine.shards[place.shard()]
            .counters
            .fields_expired(gone.len());
        let mut words: Vec<&[u8]> = vec![b"HDEL", key];
        words.extend(gone.iter().map(Vec::as_slice));
        self.log_expiry(&words);
        self.notify(NotifyClass::HASH, "hexpired", key);
        if empty {
            self.notify(NotifyClass::GENERIC, "del", key);
        }
        self.modified(key);
        gone.len()
    }

    /// Logs what expiry did: with the running command, if one collects, else at once.
    fn log_expiry(&mut self, words: &[&[u8]]) {
        match &mut self.expired {
            Some(expired) => expired.push((self.db, OwnedArgs::new(words))),
            None => self.engine.log.append(self.db, words),
        }
    }

    /// Overwrites the access clock of a key (`RESTORE ... IDLETIME/FREQ`, `OBJECT`).
    pub fn set_lru(&mut self, key: &[u8], lru: u32) {
        let place = self.place(key);
        if let Some(entry) = self
            .table_mut(place)
            .and_then(|table| table.get_mut_hashed(place.hash, key))
        {
            let kind = Header::decode(entry.payload).0.kind;
            Header::patch(entry.payload, kind, lru);
        }
    }

    /// Says that a key changed in a way that may let clients blocked on it go on, where it was
    /// not made or removed: a stream got an entry or lost a group.
    #[inline]
    pub fn signal_ready(&mut self, key: &[u8]) {
        if self.engine.blocked.any() {
            self.ready.push((self.db, key.into()));
        }
    }

    /// Removes a key whose time has come, with its event and counters.
    pub(super) fn expire_now(&mut self, place: Place, key: &[u8]) {
        if self.remove_at(place, key) {
            self.engine.shards[place.shard()].counters.expired();
            self.log_expiry(&[b"DEL", key]);
            self.notify(NotifyClass::EXPIRED, "expired", key);
            self.modified(key);
        }
    }

    pub(super) fn keeps_expired(&self) -> bool {
        self.engine.settings.keep_expired.load(Relaxed)
    }

    /// Whether a key is past its time; then it is removed.
    pub fn expire_if_due(&mut self, key: &[u8]) -> bool {
        let place = self.place(key);
        match self.find(place, key) {
            Some(found) if found.header.is_expired(self.due_ms) => {
                if !self.keeps_expired() {
                    self.expire_now(place, key);
                }
                true
            }
            _ => false,
        }
    }
}

/// The encoding of a new string value.
#[inline]
pub(super) fn string_kind(bytes: &[u8], encoding: StringEncoding) -> Kind {
    match encoding {
        StringEncoding::Raw => Kind::Raw,
        StringEncoding::Auto if bytes.len() <= 20 && num::parse_i64(bytes).is_some() => Kind::Int,
        _ if bytes.len() <= EMBSTR_MAX => Kind::Embstr,
        _ => Kind::Raw,
    }
}
