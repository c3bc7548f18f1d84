//! The configuration in use: cheap to read from any thread, changed by one writer at a time.
//!
//! Readers load a pointer to an immutable snapshot. A change builds the next snapshot, has it applied by everyone who
//! asked for that, and then publishes it. Code on the hot path that cannot afford even the load registers with
//! [`ConfigStore::on_published`] and copies the few values it needs into atomics of its own.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};

use super::access::{ApplyError, ChangeSet, SetContext, SetError};
use super::{Config, TABLE};

type Apply = Box<dyn Fn(&ChangeSet<'_>) -> Result<(), ApplyError> + Send + Sync>;
type Published = Box<dyn Fn(&Config) + Send + Sync>;

/// The current configuration.
pub struct ConfigStore {
    current: ArcSwap<Config>,
    /// Held during a change, so that changes are applied one after the other.
    writer: Mutex<()>,
    apply: RwLock<Vec<Apply>>,
    published: RwLock<Vec<Published>>,
}

impl ConfigStore {
    /// Starts with this configuration.
    pub fn new(config: Config) -> Self {
        ConfigStore {
            current: ArcSwap::from_pointee(config),
            writer: Mutex::new(()),
            apply: RwLock::default(),
            published: RwLock::default(),
        }
    }

    /// The current snapshot for a short look; do not keep it across waits.
    pub fn load(&self) -> Guard<Arc<Config>> {
        self.current.load()
    }

    /// The current snapshot to keep.
    pub fn snapshot(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Registers someone who puts `CONFIG SET` into effect and may refuse, such as the listener for `port`.
    ///
    /// It is called before the new configuration is visible, and again with `rollback` set when it or a later one
    /// fails. It must not change the configuration itself.
    pub fn on_apply(
        &self,
        apply: impl Fn(&ChangeSet<'_>) -> Result<(), ApplyError> + Send + Sync + 'static,
    ) {
        self.apply.write().push(Box::new(apply));
    }

    /// Registers someone who is told each configuration once it is visible, and the current one at once.
    pub fn on_published(&self, published: impl Fn(&Config) + Send + Sync + 'static) {
        let _turn = self.writer.lock();
        published(&self.load());
        self.published.write().push(Box::new(published));
    }

    /// `CONFIG SET`: checks, applies and publishes, or does nothing.
    pub fn set(&self, pairs: &[(&[u8], &[u8])], context: SetContext) -> Result<(), SetError> {
        let _turn = self.writer.lock();
        let old = self.snapshot();
        let appliers = self.apply.read();
        let mut called = 0;
        let new = old.set(pairs, context, &mut |change| {
            if change.rollback {
                // Everyone is told, even after one has failed.
                let results: Vec<_> = appliers
                    .iter()
                    .take(called)
                    .map(|apply| apply(change))
                    .collect();
                return results.into_iter().collect();
            }
            appliers.iter().try_for_each(|apply| {
                called += 1;
                apply(change)
            })
        })?;
        self.publish(new);
        Ok(())
    }

    /// Changes values from inside the server, such as `replicaof` after `REPLICAOF`; nothing is asked to apply them.
    pub fn update(&self, change: impl FnOnce(&mut Config)) {
        let _turn = self.writer.lock();
        let mut new = Config::clone(&self.load());
        change(&mut new);
        self.publish(new);
    }

    fn publish(&self, new: Config) {
        let new = Arc::new(new);
        self.current.store(Arc::clone(&new));
        for published in self.published.read().iter() {
            published(&new);
        }
    }
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore")
            .field("directives", &TABLE.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn error(arg: &str) -> Result<(), ApplyError> {
        Err(ApplyError {
            arg: arg.to_owned(),
            reason: "Unable to listen on this port. Check server logs.".to_owned(),
        })
    }

    #[test]
    fn a_change_is_published_once_applied() {
        let store = ConfigStore::new(Config::default());
        let hot = Arc::new(AtomicU64::new(0));
        let copy = Arc::clone(&hot);
        store.on_published(move |config| copy.store(config.maxmemory, Ordering::Relaxed));
        store
            .set(&[(b"maxmemory", b"1kb")], SetContext::default())
            .unwrap();
        assert_eq!(
            (hot.load(Ordering::Relaxed), store.load().maxmemory),
            (1024, 1024)
        );
        store.update(|config| config.maxmemory = 7);
        assert_eq!(
            (hot.load(Ordering::Relaxed), store.snapshot().maxmemory),
            (7, 7)
        );
    }

    #[test]
    fn a_refused_change_is_taken_back_by_those_who_applied_it() {
        let store = ConfigStore::new(Config::default());
        let port = Arc::new(AtomicU64::new(6379));
        let listener = Arc::clone(&port);
        store.on_apply(move |change| {
            listener.store(change.new.port.into(), Ordering::Relaxed);
            Ok(())
        });
        store.on_apply(|change| {
            if change.rollback {
                Ok(())
            } else {
                error("port")
            }
        });
        store.on_apply(|_| panic!("comes after the one that failed"));
        let result = store.set(&[(b"PORT", b"7000"), (b"hz", b"50")], SetContext::default());
        assert_eq!(
            result.unwrap_err().reply(),
            "ERR CONFIG SET failed (possibly related to argument 'port') - \
             Unable to listen on this port. Check server logs."
        );
        assert_eq!(port.load(Ordering::Relaxed), 6379);
        assert_eq!(*store.snapshot(), Config::default());
    }
}
