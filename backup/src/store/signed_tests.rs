//! A bucket behind an S3 server that checks signatures (AWS version 4), in this process: s3s-fs on a directory.
//!
//! s3s-fs takes no notice of `If-None-Match: *`, on which [`BackupStore::put_new`] relies as with AWS and MinIO; a layer on top does.

use std::sync::Arc;

use async_trait::async_trait;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::*;
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use super::conformance;
use super::url::{StoreOptions, StoreUrl, open};
use super::{BackupStore, ObjectName};

/// Refuses to replace objects that are only to be created.
struct Conditional {
    files: FileSystem,
    creating: Mutex<()>,
}

macro_rules! pass_on {
    ($($method:ident: $input:ty => $output:ty;)+) => {
        #[async_trait]
        impl S3 for Conditional {
            $(async fn $method(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                self.files.$method(request).await
            })+

            async fn put_object(
                &self,
                request: S3Request<PutObjectInput>,
            ) -> S3Result<S3Response<PutObjectOutput>> {
                let _alone = self.creating.lock().await;
                if request.input.if_none_match.is_some() {
                    let head = HeadObjectInput {
                        bucket: request.input.bucket.clone(),
                        key: request.input.key.clone(),
                        ..HeadObjectInput::default()
                    };
                    let head = S3Request {
                        input: head,
                        method: request.method.clone(),
                        uri: request.uri.clone(),
                        headers: request.headers.clone(),
                        extensions: Default::default(),
                        credentials: None,
                        region: None,
                        service: None,
                        trailing_headers: None,
                    };
                    if self.files.head_object(head).await.is_ok() {
                        return Err(s3_error!(PreconditionFailed));
                    }
                }
                self.files.put_object(request).await
            }
        }
    };
}

pass_on! {
    get_object: GetObjectInput => GetObjectOutput;
    head_object: HeadObjectInput => HeadObjectOutput;
    delete_object: DeleteObjectInput => DeleteObjectOutput;
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput;
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output;
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput;
    upload_part: UploadPartInput => UploadPartOutput;
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput;
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput;
}

struct Bucket {
    root: tempfile::TempDir,
    port: u16,
    _runtime: Runtime,
}

impl Bucket {
    fn new() -> Bucket {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("bucket")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let conditional = Conditional {
            files: FileSystem::new(root.path()).unwrap(),
            creating: Mutex::default(),
        };
        let mut builder = S3ServiceBuilder::new(conditional);
        builder.set_auth(SimpleAuth::from_single("basalt", "right"));
        let service = builder.build();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Bucket {
            root,
            port,
            _runtime: runtime,
        }
    }

    fn open(&self, secret: &str, prefix: &str) -> Arc<dyn BackupStore> {
        let credentials = self.root.path().join(format!("credentials-{secret}"));
        let text = format!("aws_access_key_id = basalt\naws_secret_access_key = {secret}\n");
        std::fs::write(&credentials, text).unwrap();
        let options = StoreOptions {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            region: Some("us-east-1".into()),
            credentials_file: Some(credentials),
            ..StoreOptions::default()
        };
        let url = StoreUrl::parse(&format!("s3://bucket{prefix}")).unwrap();
        open(&url, &options).unwrap()
    }
}

#[test]
fn conforms() {
    let bucket = Bucket::new();
    conformance::check(&*bucket.open("right", "")).unwrap();
    conformance::check(&*bucket.open("right", "/team/redis")).unwrap();
}

#[test]
fn a_wrong_secret_is_refused() {
    let bucket = Bucket::new();
    let name = ObjectName::new("a/b").unwrap();
    let wrong = bucket.open("wrong", "");
    let error = wrong.put(&name, "body".into()).unwrap_err().to_string();
    assert!(error.contains("a/b"), "{error}");
    assert!(wrong.list(None, None, 9).is_err());
    let right = bucket.open("right", "");
    assert!(right.list(None, None, 9).unwrap().is_empty());
    right.put(&name, "body".into()).unwrap();
    assert!(wrong.get(&name, 99).is_err());
    assert!(wrong.delete(&name).is_err());
    assert_eq!(right.get(&name, 99).unwrap(), "body");
}
