//! A store behind the `object_store` crate: a local directory, S3, GCS, Azure, or anything else that it reaches.
//!
//! Each operation is one request (a listing may take several), retried as the client below is configured to. `put_new`
//! is a conditional request, so it needs a store that knows `If-None-Match: *` or the like; one that does not answers
//! with an error, never by overwriting.

use std::collections::BinaryHeap;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error as ObjectError, GetOptions, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt,
    PutMode, PutOptions, PutPayload,
};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::driver::Driver;
use super::error::Operation;
use super::local::Directory;
use super::{BackupStore, NextPart, ObjectInfo, ObjectName, STEP_BYTES, StoreError, range_within};

/// How long an operation may take with all its retries before it counts as failed.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(600);
/// Memory for a body is taken in steps of at most this while it arrives, whatever the store announced.
const RESERVE_BYTES: usize = 4 << 20;

/// A [`BackupStore`] over an [`ObjectStore`].
pub struct BucketStore {
    inner: Arc<dyn ObjectStore>,
    driver: Driver,
    /// The directory that it is.
    directory: Option<Directory>,
}

/// The outcome of a read that has to look at lengths on the way.
enum Fetched {
    Whole(Bytes),
    TooLarge(u64),
}

impl BucketStore {
    /// Drives the store on a runtime and a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread, or no event queue for it.
    pub fn new(inner: Arc<dyn ObjectStore>, deadline: Duration) -> io::Result<Self> {
        let driver = Driver::owned(deadline)?;
        Ok(BucketStore {
            inner,
            driver,
            directory: None,
        })
    }

    /// The store in a local directory.
    pub(super) fn in_directory(directory: Directory, deadline: Duration) -> io::Result<Self> {
        let mut store = BucketStore::new(directory.files(), deadline)?;
        store.directory = Some(directory);
        Ok(store)
    }

    /// Drives the store on an existing runtime. Operations block, so they must not be called on the runtime's own threads
    /// unless others are left to do the work.
    pub fn on_runtime(inner: Arc<dyn ObjectStore>, runtime: Handle, deadline: Duration) -> Self {
        let driver = Driver::shared(runtime, deadline);
        BucketStore {
            inner,
            driver,
            directory: None,
        }
    }

    /// Runs one operation on one object and names its errors.
    fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        name: &ObjectName,
        future: impl Future<Output = Result<T, ObjectError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.driver.run(future) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(explain(operation, name, error)),
            Err(error) => Err(StoreError::failed(operation, name, error)),
        }
    }

    fn write(
        &self,
        operation: Operation,
        name: &ObjectName,
        body: Bytes,
        mode: PutMode,
    ) -> Result<(), StoreError> {
        let (inner, path) = (Arc::clone(&self.inner), path(operation, name)?);
        self.run(operation, name, async move {
            let options = PutOptions::from(mode);
            let payload = in_steps(body);
            inner.put_opts(&path, payload, options).await.map(drop)
        })
    }

    fn find(&self, operation: Operation, name: &ObjectName) -> Result<u64, StoreError> {
        let (inner, path) = (Arc::clone(&self.inner), path(operation, name)?);
        let meta = self.run(operation, name, async move { inner.head(&path).await })?;
        Ok(meta.size)
    }
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketStore({})", self.inner)
    }
}

impl BackupStore for BucketStore {
    fn put(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.write(Operation::Put, name, body, PutMode::Overwrite)
    }

    fn put_parts(&self, name: &ObjectName, next: &mut NextPart<'_>) -> Result<(), StoreError> {
        let local = |error: io::Error| StoreError::failed(Operation::Put, name, error);
        let first = next().map_err(local)?.unwrap_or_default();
        let Some(second) = next().map_err(local)? else {
            return self.put(name, first);
        };
        let (inner, path) = (Arc::clone(&self.inner), path(Operation::Put, name)?);
        let mut upload = self.run(Operation::Put, name, async move {
            inner.put_multipart(&path).await
        })?;
        let mut part = Some(first);
        let mut ahead = Some(second);
        let sent = loop {
            let Some(body) = part.take() else {
                break Ok(());
            };
            if let Err(error) = self.run(Operation::Put, name, upload.put_part(in_steps(body))) {
                break Err(error);
            }
            part = match ahead.take() {
                Some(body) => Some(body),
                None => match next() {
                    Ok(body) => body,
                    Err(error) => break Err(local(error)),
                },
            };
        };
        match sent {
            Ok(()) => self.run(Operation::Put, name, async move {
                upload.complete().await.map(drop)
            }),
            Err(error) => {
                // The first error says more than a failed clean-up.
                let _ = self.run(Operation::Put, name, async move { upload.abort().await });
                Err(error)
            }
        }
    }

    fn staging(&self) -> Option<Arc<std::path::Path>> {
        self.directory.as_ref().map(Directory::root)
    }

    fn adopt(&self, name: &ObjectName, file: &File) -> Result<bool, StoreError> {
        let Some(directory) = &self.directory else {
            return Ok(false);
        };
        let path = path(Operation::Put, name)?;
        let adopted = directory.adopt(&path, file);
        adopted.map_err(|error| StoreError::failed(Operation::Put, name, error))
    }

    fn put_new(&self, name: &ObjectName, body: Bytes) -> Result<(), StoreError> {
        self.write(Operation::PutNew, name, body, PutMode::Create)
    }

    fn get(&self, name: &ObjectName, max_bytes: u64) -> Result<Bytes, StoreError> {
        let (inner, path) = (Arc::clone(&self.inner), path(Operation::Get, name)?);
        let fetched = self.run(Operation::Get, name, async move {
            let answer = inner.get(&path).await?;
            let size_bytes = answer.meta.size;
            if size_bytes > max_bytes {
                return Ok(Fetched::TooLarge(size_bytes));
            }
            collect(answer, max_bytes).await
        })?;
        match fetched {
            Fetched::Whole(body) => Ok(body),
            Fetched::TooLarge(size_bytes) => {
                let name = name.clone();
                Err(StoreError::TooLarge {
                    name,
                    size_bytes,
                    max_bytes,
                })
            }
        }
    }

    fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let operation = Operation::GetRange;
        let length = range.end.saturating_sub(range.start);
        if length == 0 {
            // No request can ask for nothing, so the answer is made from the size.
            range_within(name, &range, self.find(operation, name)?)?;
            return Ok(Bytes::new());
        }
        let (inner, path) = (Arc::clone(&self.inner), path(operation, name)?);
        let options = GetOptions::new().with_range(Some(range.clone()));
        let fetched = self.run(operation, name, async move {
            collect(inner.get_opts(&path, options).await?, length).await
        });
        match fetched {
            Ok(Fetched::Whole(body)) if body.len() as u64 == length => Ok(body),
            Ok(Fetched::TooLarge(_)) => Err(StoreError::failed(
                operation,
                name,
                "the store sent more than the range",
            )),
            // A range that reaches past the end is cut or refused, depending on the store.
            Ok(Fetched::Whole(_)) | Err(StoreError::Failed { .. }) => {
                range_within(name, &range, self.find(operation, name)?)?;
                match fetched {
                    Err(error) => Err(error),
                    Ok(_) => Err(StoreError::failed(
                        operation,
                        name,
                        "the store sent less than the range",
                    )),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn head(&self, name: &ObjectName) -> Result<ObjectInfo, StoreError> {
        let size_bytes = self.find(Operation::Head, name)?;
        Ok(ObjectInfo {
            name: name.clone(),
            size_bytes,
        })
    }

    fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, StoreError> {
        let operation = Operation::List;
        let what = folder.map_or("the store", ObjectName::as_str);
        let prefix = folder.map(|folder| path(operation, folder)).transpose()?;
        let offset = after.map(|after| path(operation, after)).transpose()?;
        let inner = Arc::clone(&self.inner);
        let answer = self.driver.run(async move {
            let mut objects = match &offset {
                Some(offset) => inner.list_with_offset(prefix.as_ref(), offset),
                None => inner.list(prefix.as_ref()),
            };
            // Not every store lists in order, so all names pass through a heap that keeps the smallest.
            let mut first: BinaryHeap<(ObjectName, u64)> = BinaryHeap::new();
            while let Some(meta) = objects.try_next().await? {
                let Ok(name) = ObjectName::new(meta.location.as_ref()) else {
                    continue;
                };
                first.push((name, meta.size));
                if first.len() > limit {
                    first.pop();
                }
            }
            Ok::<_, ObjectError>(first.into_sorted_vec())
        });
        match answer {
            Ok(Ok(objects)) => Ok(objects
                .into_iter()
                .map(|(name, size_bytes)| ObjectInfo { name, size_bytes })
                .collect()),
            Ok(Err(error)) => Err(StoreError::failed(operation, what, error)),
            Err(error) => Err(StoreError::failed(operation, what, error)),
        }
    }

    fn delete(&self, name: &ObjectName) -> Result<(), StoreError> {
        let (inner, path) = (Arc::clone(&self.inner), path(Operation::Delete, name)?);
        let result = self.run(
            Operation::Delete,
            name,
            async move { inner.delete(&path).await },
        );
        match result {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

/// A body that is written to a file in short system calls: a kernel that does not preempt itself lets nobody else have
/// the processor before the end of one. Nothing is copied.
fn in_steps(mut body: Bytes) -> PutPayload {
    let mut steps = Vec::with_capacity(body.len().div_ceil(STEP_BYTES));
    while !body.is_empty() {
        steps.push(body.split_to(body.len().min(STEP_BYTES)));
    }
    steps.into_iter().collect()
}

fn path(operation: Operation, name: &ObjectName) -> Result<Path, StoreError> {
    Path::parse(name.as_str()).map_err(|error| StoreError::failed(operation, name, error))
}

/// Takes a body as it arrives, but no more than `max_bytes` of it.
async fn collect(answer: GetResult, max_bytes: u64) -> Result<Fetched, ObjectError> {
    let announced = answer
        .range
        .end
        .saturating_sub(answer.range.start)
        .min(max_bytes);
    let mut parts = match answer.payload {
        GetResultPayload::File(file, path) => {
            let range = answer.range;
            // Without a thread to read in there is no answer to wait for either.
            let read = spawn_blocking(move || read_file(&file, &range, announced)).await;
            return match read.map_err(io::Error::other).flatten() {
                Ok(body) => Ok(Fetched::Whole(body)),
                Err(error) => Err(ObjectError::Generic {
                    store: "directory",
                    source: format!("{}: {error}", path.display()).into(),
                }),
            };
        }
        GetResultPayload::Stream(parts) => parts,
    };
    let mut body = match parts.next().await.transpose()? {
        // Most bodies arrive whole and need no copy.
        Some(part) if part.len() as u64 == announced => match parts.next().await.transpose()? {
            None => return Ok(Fetched::Whole(part)),
            Some(next) => {
                let mut body = BytesMut::from(part.as_ref());
                body.extend_from_slice(&next);
                body
            }
        },
        Some(part) => BytesMut::from(part.as_ref()),
        None => BytesMut::new(),
    };
    let rest = announced.saturating_sub(body.len() as u64);
    body.reserve(
        usize::try_from(rest)
            .unwrap_or(RESERVE_BYTES)
            .min(RESERVE_BYTES),
    );
    while body.len() as u64 <= max_bytes {
        match parts.next().await.transpose()? {
            Some(part) => body.extend_from_slice(&part),
            None => return Ok(Fetched::Whole(body.freeze())),
        }
    }
    Ok(Fetched::TooLarge(body.len() as u64))
}

/// As many bytes of a file, from where a range begins.
fn read_file(file: &File, range: &Range<u64>, bytes: u64) -> io::Result<Bytes> {
    let mut body = Vec::new();
    let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
    body.reserve(left.min(RESERVE_BYTES));
    while left > 0 {
        let (from, step) = (body.len(), left.min(STEP_BYTES));
        body.resize(from + step, 0);
        let free = body.get_mut(from..).unwrap_or_default();
        file.read_exact_at(free, range.start.saturating_add(from as u64))?;
        left -= step;
    }
    Ok(body.into())
}

fn explain(operation: Operation, name: &ObjectName, error: ObjectError) -> StoreError {
    let name = name.clone();
    match error {
        ObjectError::NotFound { .. } => StoreError::NotFound { name },
        ObjectError::AlreadyExists { .. } => StoreError::AlreadyExists { name },
        // Some stores name the failed condition instead of its cause.
        ObjectError::Precondition { .. } if operation == Operation::PutNew => {
            StoreError::AlreadyExists { name }
        }
        error => StoreError::failed(operation, name, error),
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::super::conformance;
    use super::*;

    #[test]
    fn conforms_on_its_own_runtime() {
        let store = BucketStore::new(Arc::new(InMemory::new()), DEFAULT_DEADLINE).unwrap();
        conformance::check(&store).unwrap();
    }

    #[test]
    fn conforms_on_a_shared_runtime() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let inner = Arc::new(InMemory::new());
        let store = BucketStore::on_runtime(inner, runtime.handle().clone(), DEFAULT_DEADLINE);
        conformance::check(&store).unwrap();
    }

    #[test]
    fn conforms_below_a_prefix() {
        let bucket = Arc::new(InMemory::new());
        let inner = object_store::prefix::PrefixStore::new(Arc::clone(&bucket), "team/redis");
        let store = BucketStore::new(Arc::new(inner), DEFAULT_DEADLINE).unwrap();
        conformance::check(&store).unwrap();
    }

    #[test]
    fn foreign_objects_are_passed_over() {
        let bucket = Arc::new(InMemory::new());
        let store = BucketStore::new(Arc::clone(&bucket) as _, DEFAULT_DEADLINE).unwrap();
        let name = ObjectName::new("a/b").unwrap();
        store.put(&name, Bytes::from_static(b"1")).unwrap();
        let foreign = Path::from("a/not ours");
        store
            .driver
            .run(async move { bucket.put(&foreign, "x".into()).await })
            .unwrap()
            .unwrap();
        let listed = store.list(None, None, 10).unwrap();
        assert_eq!(
            listed,
            [ObjectInfo {
                name,
                size_bytes: 1
            }]
        );
    }

    #[test]
    fn a_stopped_runtime_is_an_error() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        let store = BucketStore::on_runtime(Arc::new(InMemory::new()), handle, DEFAULT_DEADLINE);
        drop(runtime);
        let error = store.head(&ObjectName::new("a").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot look up a: the task ended without an answer"
        );
    }
}
