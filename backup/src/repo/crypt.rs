//! Encryption of what leaves the machine: age v1 files for X25519 recipients.
//!
//! Writing needs recipients only, so a server can write backups that it cannot read. Reading needs an identity; one that
//! is protected by a passphrase is itself an age file, as `age-keygen | age -p` makes it. Any number of bytes passes
//! through in constant memory, and age's framing refuses what is cut, reordered, changed or appended.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use age::stream::StreamWriter;

/// The beginning of an age file.
const MAGIC: &[u8] = b"age-encryption.org/v1";
/// The longest identity file that is read.
const MAX_IDENTITY_BYTES: usize = 1 << 20;
/// log2 of the most work a passphrase may ask for; `age -p` asks for 18.
const MAX_WORK: u8 = 22;

/// Why something cannot be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CryptError {
    /// A recipient is not one.
    #[error("'{text}' is not an age recipient (age1...): {reason}")]
    Recipient {
        /// The text.
        text: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An identity file holds no identity, or something else too.
    #[error("line {line} of the identity file is not an age identity (AGE-SECRET-KEY-1...)")]
    Identity {
        /// The line, from 1.
        line: usize,
    },
    /// An identity file is empty or too long.
    #[error("the identity file holds no identity")]
    NoIdentity,
    /// The identity file is protected by a passphrase, and there is none.
    #[error("the identity file is protected by a passphrase, and none was given")]
    NeedsPassphrase,
    /// age's reason.
    #[error("cannot decrypt: {0}")]
    Decrypt(#[from] age::DecryptError),
    /// age's reason.
    #[error("cannot encrypt: {0}")]
    Encrypt(#[from] age::EncryptError),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Who can read what is written; nobody in particular if empty: then nothing is encrypted.
#[derive(Clone, Default)]
pub struct Recipients(Vec<age::x25519::Recipient>);

impl Recipients {
    /// Takes recipients apart at blanks and commas.
    ///
    /// # Errors
    /// [`CryptError::Recipient`].
    pub fn parse(text: &str) -> Result<Recipients, CryptError> {
        let words = text.split([' ', ',', '\t', '\n']);
        let words = words.filter(|word| !word.is_empty());
        let parse = |word: &str| {
            age::x25519::Recipient::from_str(word).map_err(|reason| CryptError::Recipient {
                // Whoever mixes up the two must not find the secret in a log.
                text: if word.to_ascii_uppercase().starts_with("AGE-SECRET") {
                    "AGE-SECRET-KEY-...".to_owned()
                } else {
                    word.chars().take(80).collect()
                },
                reason,
            })
        };
        let mut list = words.map(parse).collect::<Result<Vec<_>, _>>()?;
        list.sort_by_key(ToString::to_string);
        list.dedup_by_key(|recipient| recipient.to_string());
        Ok(Recipients(list))
    }

    /// Nothing is encrypted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What manifests say of them: names that do not give them away.
    pub fn fingerprints(&self) -> Vec<String> {
        let name = |recipient: &age::x25519::Recipient| {
            let mut hex = blake3::hash(recipient.to_string().as_bytes()).to_string();
            hex.truncate(16);
            hex
        };
        self.0.iter().map(name).collect()
    }

    /// Encrypts what is written to the result, if there are recipients.
    pub fn wrap<W: Write>(&self, sink: W) -> Result<Sealing<W>, CryptError> {
        if self.is_empty() {
            return Ok(Sealing::Plain(sink));
        }
        let recipients = self
            .0
            .iter()
            .map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients)?;
        Ok(Sealing::Age(encryptor.wrap_output(sink)?))
    }

    /// A short text, encrypted.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, CryptError> {
        let mut sealing = self.wrap(Vec::new())?;
        sealing.write_all(plain)?;
        Ok(sealing.finish()?)
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({:?})", self.fingerprints())
    }
}

/// A sink that encrypts or does not.
pub enum Sealing<W: Write> {
    /// As it comes.
    Plain(W),
    /// In an age file.
    Age(StreamWriter<W>),
}

impl<W: Write> Sealing<W> {
    /// Completes the file and returns the sink.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Sealing::Plain(sink) => Ok(sink),
            Sealing::Age(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        match self {
            Sealing::Plain(sink) => sink.write(plain),
            Sealing::Age(writer) => writer.write(plain),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sealing::Plain(sink) => sink.flush(),
            Sealing::Age(writer) => writer.flush(),
        }
    }
}

/// What opens encrypted files. Never shown.
#[derive(Default)]
pub struct Identities(Vec<age::x25519::Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Reads an identity file: lines of `AGE-SECRET-KEY-1...`, empty lines and comments; or such a file protected by a
    /// passphrase, which is then asked for.
    ///
    /// # Errors
    /// Any [`CryptError`]; none of them repeats the file's content.
    pub fn parse(
        file: &[u8],
        passphrase: impl FnOnce() -> Option<String>,
    ) -> Result<Identities, CryptError> {
        if file.len() > MAX_IDENTITY_BYTES {
            return Err(CryptError::NoIdentity);
        }
        if !file.starts_with(MAGIC) {
            return Identities::of_lines(file);
        }
        let decryptor = age::Decryptor::new(file)?;
        let secret = passphrase().ok_or(CryptError::NeedsPassphrase)?;
        let mut identity = age::scrypt::Identity::new(SecretString::from(secret));
        identity.set_max_work_factor(MAX_WORK);
        let reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity))?;
        let mut plain = Vec::new();
        reader
            .take(MAX_IDENTITY_BYTES as u64)
            .read_to_end(&mut plain)?;
        Identities::of_lines(&plain)
    }

    fn of_lines(text: &[u8]) -> Result<Identities, CryptError> {
        let mut list = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let wrong = CryptError::Identity { line: index + 1 };
            let Ok(line) = std::str::from_utf8(line) else {
                return Err(wrong);
            };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            list.push(age::x25519::Identity::from_str(line).map_err(|_| wrong)?);
        }
        if list.is_empty() {
            return Err(CryptError::NoIdentity);
        }
        Ok(Identities(list))
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The plain bytes of an age file.
    ///
    /// # Errors
    /// [`CryptError::Decrypt`] if it is no age file, or none of these opens it. Damage further on is an error of the reader.
    pub fn open<R: BufRead>(&self, source: R) -> Result<age::stream::StreamReader<R>, CryptError> {
        let decryptor = age::Decryptor::new_buffered(source)?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        Ok(decryptor.decrypt(identities)?)
    }

    /// The plain bytes of a short age file.
    pub fn open_short(&self, file: &[u8], max_bytes: u64) -> Result<Vec<u8>, CryptError> {
        let mut plain = Vec::new();
        let reader = self.open(BufReader::new(file))?;
        reader
            .take(max_bytes.saturating_add(1))
            .read_to_end(&mut plain)?;
        Ok(plain)
    }
}

/// A new identity, as a file in the form of age-keygen, and its recipient.
#[derive(Debug)]
pub struct NewIdentity {
    /// The recipient: what servers are given.
    pub recipient: String,
    file: SecretString,
}

impl NewIdentity {
    /// Draws one.
    pub fn generate(created: &str) -> NewIdentity {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let secret = identity.to_string();
        let file = format!(
            "# created: {created}\n# public key: {recipient}\n{}\n",
            secret.expose_secret()
        );
        NewIdentity {
            recipient,
            file: SecretString::from(file),
        }
    }

    /// The identity file, protected by a passphrase if one is given.
    pub fn file(&self, passphrase: Option<String>) -> Result<Vec<u8>, CryptError> {
        let plain = self.file.expose_secret().as_bytes();
        let Some(passphrase) = passphrase else {
            return Ok(plain.to_vec());
        };
        let encryptor = age::Encryptor::with_user_passphrase(SecretString::from(passphrase));
        let mut writer = encryptor.wrap_output(Vec::new())?;
        writer.write_all(plain)?;
        Ok(writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities(new: &NewIdentity) -> Identities {
        Identities::parse(&new.file(None).unwrap(), || None).unwrap()
    }

    #[test]
    fn each_of_several_recipients_opens_it() {
        let (a, b, c) = (
            NewIdentity::generate("now"),
            NewIdentity::generate("now"),
            NewIdentity::generate("now"),
        );
        let both = Recipients::parse(&format!("{}, {}", a.recipient, b.recipient)).unwrap();
        assert_eq!(both.fingerprints().len(), 2);
        let file = both.seal(b"secret data").unwrap();
        for new in [&a, &b] {
            assert_eq!(
                identities(new).open_short(&file, 99).unwrap(),
                b"secret data"
            );
        }
        assert!(identities(&c).open_short(&file, 99).is_err());
        let window = |needle: &[u8]| file.windows(needle.len()).any(|part| part == needle);
        assert!(window(MAGIC) && !window(b"secret"));
    }

    #[test]
    fn every_changed_byte_is_found() {
        let new = NewIdentity::generate("now");
        let file = Recipients::parse(&new.recipient)
            .unwrap()
            .seal(b"data")
            .unwrap();
        let identities = identities(&new);
        for at in 0..file.len() {
            let mut bad = file.clone();
            bad[at] ^= 1;
            assert!(identities.open_short(&bad, 99).is_err(), "byte {at}");
            assert!(
                identities.open_short(&file[..at], 99).is_err(),
                "cut at {at}"
            );
        }
        let mut longer = file;
        longer.push(0);
        assert!(identities.open_short(&longer, 99).is_err());
    }

    #[test]
    fn a_passphrase_protects_the_identity() {
        let new = NewIdentity::generate("now");
        // The real work factor takes a second each way.
        let mut recipient = age::scrypt::Recipient::new(SecretString::from("horse".to_owned()));
        recipient.set_work_factor(4);
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).unwrap();
        let mut writer = encryptor.wrap_output(Vec::new()).unwrap();
        writer.write_all(&new.file(None).unwrap()).unwrap();
        let file = writer.finish().unwrap();
        assert!(Identities::parse(&file, || Some("horse".into())).is_ok());
        assert!(Identities::parse(&file, || Some("cow".into())).is_err());
        let none = Identities::parse(&file, || None);
        assert!(matches!(none, Err(CryptError::NeedsPassphrase)));
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        let new = NewIdentity::generate("now");
        let file = String::from_utf8(new.file(None).unwrap()).unwrap();
        let secret = file.lines().last().unwrap();
        let error = Recipients::parse(secret).unwrap_err().to_string();
        assert!(!error.contains(&secret[20..40]), "{error}");
        let error = Identities::parse(b"# x\n\nage1abc\n", || None).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
        assert!(Identities::parse(b"# only\n", || None).is_err());
    }
}
