//! Stores by URL.
//!
//! | URL | store |
//! |---|---|
//! | `/path`, `file:///path` | a directory, which must exist |
//! | `s3://bucket/prefix` | S3, or with an endpoint whatever speaks its protocol: MinIO, Ceph, R2, Garage |
//! | `gs://bucket/prefix` | Google Cloud Storage |
//! | `az://container/prefix` | Azure Blob Storage |
//!
//! Credentials never stand in a URL. They come from the environment (`AWS_ACCESS_KEY_ID` and its like, also those that
//! point to instance roles and web identities), or from a file in the form of `~/.aws/credentials`; for Google's cloud that is the
//! JSON file of a service account.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::credentials;
use super::error::Operation;
use super::{
    Backoff, BackupStore, BucketStore, DEFAULT_DEADLINE, ObjectName, RetryingStore, StoreError,
    open_local,
};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a URL does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Where requests go instead of the vendor's own address, such as `http://localhost:9000`.
    pub endpoint: Option<String>,
    /// The region; `us-east-1` unless given or in the environment.
    pub region: Option<String>,
    /// `bucket.endpoint/name` instead of `endpoint/bucket/name`.
    pub virtual_hosted: bool,
    /// A KMS key for encryption by the store, besides that of ours.
    pub sse_kms_key: Option<String>,
    /// A file with credentials.
    pub credentials_file: Option<PathBuf>,
    /// How long requests are repeated; none: the default.
    pub retry_for: Option<Duration>,
}

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A directory.
    Local(PathBuf),
    /// A bucket with what stands before all names.
    Bucket {
        /// Whose.
        vendor: Vendor,
        /// The bucket.
        bucket: String,
        /// Empty or a name.
        prefix: String,
    },
}

/// Whose protocol a bucket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// S3.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure.
    Azure,
}

/// A text is no URL of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{url}' is not a place for backups: {reason}")]
pub struct InvalidUrl {
    url: String,
    reason: String,
}

impl StoreUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`InvalidUrl`]; it does not repeat what may be a secret.
    pub fn parse(url: &str) -> Result<StoreUrl, InvalidUrl> {
        let invalid = |shown: &str, reason: &str| InvalidUrl {
            url: shown.chars().take(200).collect(),
            reason: reason.to_owned(),
        };
        if url.starts_with('/') {
            return Ok(StoreUrl::Local(url.into()));
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(invalid(
                url,
                "it is neither an absolute path nor s3://, gs://, az:// or file://",
            ));
        };
        if rest.contains(['@', '?', '#']) {
            let shown = format!("{scheme}://...");
            return Err(invalid(
                &shown,
                "credentials and options do not belong into the URL",
            ));
        }
        let vendor = match scheme {
            "file" if rest.starts_with('/') => return Ok(StoreUrl::Local(rest.into())),
            "s3" => Vendor::S3,
            "gs" => Vendor::Google,
            "az" => Vendor::Azure,
            _ => return Err(invalid(url, "unknown scheme")),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if bucket.is_empty() || !bucket.bytes().all(named) {
            return Err(invalid(url, "there is no bucket in it"));
        }
        if !prefix.is_empty()
            && let Err(error) = ObjectName::new(prefix)
        {
            return Err(invalid(url, &error.to_string()));
        }
        Ok(StoreUrl::Bucket {
            vendor,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Local(path) => write!(f, "{}", path.display()),
            StoreUrl::Bucket {
                vendor,
                bucket,
                prefix,
            } => {
                let scheme = match vendor {
                    Vendor::S3 => "s3",
                    Vendor::Google => "gs",
                    Vendor::Azure => "az",
                };
                write!(f, "{scheme}://{bucket}")?;
                if !prefix.is_empty() {
                    write!(f, "/{prefix}")?;
                }
                Ok(())
            }
        }
    }
}

/// Opens the store; whether it can be reached shows with the first request.
///
/// # Errors
/// [`StoreError`]: what is wrong with the options or the directory.
pub fn open(url: &StoreUrl, options: &StoreOptions) -> Result<Arc<dyn BackupStore>, StoreError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::failed(Operation::Open, url, error)
    };
    let (vendor, bucket, prefix) = match url {
        StoreUrl::Local(path) => {
            let store = Arc::new(open_local(path, DEFAULT_DEADLINE)?);
            return Ok(Arc::new(RetryingStore::new(store, Backoff::default())));
        }
        StoreUrl::Bucket {
            vendor,
            bucket,
            prefix,
        } => (*vendor, bucket, prefix),
    };
    if options.sse_kms_key.is_some() && vendor != Vendor::S3 {
        return Err(failed(
            "a KMS key for encryption by the store is only for S3".into(),
        ));
    }
    // Who has installed one already has chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store: Arc<dyn ObjectStore> = match vendor {
        Vendor::S3 => s3(bucket, options).map_err(failed)?,
        Vendor::Google => {
            let builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_retry(retry(options))
                .with_client_options(client(options));
            let builder = match &options.credentials_file {
                Some(path) => builder.with_service_account_path(path.display().to_string()),
                None => builder,
            };
            let builder = match &options.endpoint {
                Some(endpoint) => builder.with_base_url(endpoint.trim_end_matches('/')),
                None => builder,
            };
            Arc::new(builder.build().map_err(|error| failed(error.into()))?)
        }
        Vendor::Azure => {
            let builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_retry(retry(options))
                .with_client_options(client(options));
            let builder = match &options.credentials_file {
                Some(path) => credentials::for_azure(builder, path).map_err(failed)?,
                None => builder,
            };
            let builder = match &options.endpoint {
                Some(endpoint) => builder.with_endpoint(endpoint.clone()),
                None => builder,
            };
            Arc::new(builder.build().map_err(|error| failed(error.into()))?)
        }
    };
    let store: Arc<dyn ObjectStore> = if prefix.is_empty() {
        store
    } else {
        Arc::new(PrefixStore::new(store, prefix.as_str()))
    };
    let bucket = BucketStore::new(store, DEFAULT_DEADLINE).map_err(|error| failed(error.into()))?;
    // The client below repeats requests already; here it is what breaks off while a body arrives.
    let backoff = Backoff {
        attempts: 3,
        ..Backoff::default()
    };
    Ok(Arc::new(RetryingStore::new(Arc::new(bucket), backoff)))
}

fn retry(options: &StoreOptions) -> RetryConfig {
    let defaults = RetryConfig::default();
    RetryConfig {
        retry_timeout: options.retry_for.unwrap_or(defaults.retry_timeout),
        ..defaults
    }
}

fn client(options: &StoreOptions) -> ClientOptions {
    let plain = options
        .endpoint
        .as_ref()
        .is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_allow_http(plain)
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
}

fn s3(
    bucket: &str,
    options: &StoreOptions,
) -> Result<Arc<dyn ObjectStore>, Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retry(options))
        .with_virtual_hosted_style_request(options.virtual_hosted)
        .with_client_options(client(options));
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(key) = &options.sse_kms_key {
        builder = builder.with_sse_kms_encryption(key);
    }
    if let Some(path) = &options.credentials_file {
        builder = credentials::for_s3(builder, path)?;
    }
    Ok(Arc::new(builder.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, shown) in [
            ("/var/backups", "/var/backups"),
            ("file:///var/backups", "/var/backups"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            ("gs://bucket/a", "gs://bucket/a"),
            ("az://box", "az://box"),
        ] {
            assert_eq!(StoreUrl::parse(url).unwrap().to_string(), shown);
        }
        for url in [
            "",
            "relative/path",
            "s3://",
            "s3:///a",
            "ftp://a/b",
            "file://host/a",
            "s3://bucket/../x",
            "s3://buc ket",
        ] {
            assert!(StoreUrl::parse(url).is_err(), "{url}");
        }
        let error = StoreUrl::parse("s3://AKIA:topsecret@bucket/x").unwrap_err();
        assert!(!error.to_string().contains("topsecret"), "{error}");
    }

    #[test]
    fn buckets_open_without_a_request() {
        let options = StoreOptions {
            endpoint: Some("http://127.0.0.1:1".into()),
            ..StoreOptions::default()
        };
        let url = StoreUrl::parse("s3://bucket/prefix").unwrap();
        assert!(open(&url, &options).is_ok());
        let options = StoreOptions {
            sse_kms_key: Some("key".into()),
            ..options
        };
        assert!(open(&url, &options).is_ok());
        let other = StoreUrl::parse("gs://bucket").unwrap();
        let error = open(&other, &options).unwrap_err().to_string();
        assert!(error.contains("only for S3"), "{error}");
        let missing = StoreUrl::Local("/nonexistent/backups".into());
        assert!(open(&missing, &options).is_err());
    }
}
