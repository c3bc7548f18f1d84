//! Files with credentials, in the form of `~/.aws/credentials`: `name = value` lines, possibly in sections.
//!
//! No error repeats a value.

use std::path::Path;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

/// The longest file that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why a file is of no use.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a file says in order.
fn read(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let shown = path.display();
    let length = std::fs::metadata(path)
        .map_err(|error| format!("{shown}: {error}"))?
        .len();
    if length > MAX_FILE_BYTES {
        return Err(format!("{shown}: this is no credentials file").into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    Ok(parse(&text))
}

/// The lines; of several sections `[default]` counts, or the first.
fn parse(text: &str) -> Vec<(String, String)> {
    let lines = || {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
    };
    let header = |line: &str| line.starts_with('[');
    let begin = lines().position(|line| line == "[default]");
    let before = begin.or(lines().next().is_some_and(header).then_some(0));
    lines()
        .skip(before.map_or(0, |at| at + 1))
        .take_while(|line| !header(line))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// Has S3 use the credentials in a file.
///
/// # Errors
/// It cannot be read, or holds none.
pub(super) fn for_s3(builder: AmazonS3Builder, path: &Path) -> Result<AmazonS3Builder, Failure> {
    let pairs = read(path)?;
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    let (Some(id), Some(secret)) = (value("aws_access_key_id"), value("aws_secret_access_key"))
    else {
        let shown = path.display();
        return Err(format!("{shown}: no aws_access_key_id and aws_secret_access_key").into());
    };
    let builder = builder
        .with_access_key_id(id)
        .with_secret_access_key(secret);
    Ok(match value("aws_session_token") {
        Some(token) => builder.with_token(token),
        None => builder,
    })
}

/// Has Azure use what a file says, by the names that the environment has for it, such as `azure_storage_account_key`.
///
/// # Errors
/// It cannot be read, holds nothing, or something else.
pub(super) fn for_azure(
    mut builder: MicrosoftAzureBuilder,
    path: &Path,
) -> Result<MicrosoftAzureBuilder, Failure> {
    let shown = path.display();
    let pairs = read(path)?;
    if pairs.is_empty() {
        return Err(format!("{shown}: no azure_storage_account_key or the like").into());
    }
    for (name, value) in pairs {
        let key: AzureConfigKey = name
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| format!("{shown}: '{name}' is nothing that Azure knows"))?;
        builder = builder.with_config(key, value);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let keys = "aws_access_key_id = A\n# comment = 1\naws_secret_access_key=B=\n";
        for text in [
            keys.to_owned(),
            format!("[other]\naws_access_key_id=X\n[default]\n{keys}[more]\naws_session_token=Y\n"),
            format!("\n; first\n[only]\n{keys}"),
        ] {
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let expected = [
                pair("aws_access_key_id", "A"),
                pair("aws_secret_access_key", "B="),
            ];
            assert_eq!(parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_told_without_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        let s3 = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let done = for_s3(AmazonS3Builder::new(), &path);
            done.map(drop).map_err(|error| error.to_string())
        };
        let azure = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let done = for_azure(MicrosoftAzureBuilder::new(), &path);
            done.map(drop).map_err(|error| error.to_string())
        };
        s3("aws_access_key_id=A\naws_secret_access_key=B\n").unwrap();
        let error = s3("aws_access_key_id=topsecret\n").unwrap_err();
        assert!(error.contains("credentials: no aws_access_key_id") && !error.contains("topsec"));
        azure("AZURE_STORAGE_ACCOUNT_NAME=a\nazure_storage_account_key=b\n").unwrap();
        let error = azure("azure_storage_kee=topsecret\n").unwrap_err();
        assert!(error.contains("azure_storage_kee") && !error.contains("topsecret"));
        assert!(azure("").is_err());
        let missing = for_azure(MicrosoftAzureBuilder::new(), &dir.path().join("missing"));
        assert!(missing.unwrap_err().to_string().contains("missing"));
    }
}
