//! Secrets on the disk are sealed with a key of their own (AES-256-GCM), bound to their place and revision.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

const KEY_LENGTH: usize = 32;

/// The key.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    /// Reads the key file, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        match OpenOptions::new().read(true).open(path) {
            Ok(mut file) => drop(file.read_to_end(&mut bytes)?),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                bytes = vec![0; KEY_LENGTH];
                SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no random bytes"))?;
                let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(&bytes)?;
                file.sync_all()?;
            }
            Err(e) => return Err(e),
        }
        let key = UnboundKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a key of 32 bytes"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Values of these keys are sealed.
    pub(super) fn covers(key: &str) -> bool {
        key.starts_with("core/secrets/")
    }

    pub(super) fn close(&self, key: &str, revision: u64, value: &[u8]) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| io::Error::other("no random bytes"))?;
        let mut sealed = value.to_vec();
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(key, revision), &mut sealed)
            .map_err(|_| io::Error::other("seal a value"))?;
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// Nothing for a value that was not sealed with this key for this place.
    pub(super) fn reveal(&self, key: &str, revision: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let mut value = rest.to_vec();
        let length =
            self.0.open_in_place(Nonce::try_assume_unique_for_key(nonce).ok()?, aad(key, revision), &mut value).ok()?.len();
        value.truncate(length);
        Some(value)
    }
}

fn aad(key: &str, revision: u64) -> Aad<Vec<u8>> {
    Aad::from([&revision.to_le_bytes(), key.as_bytes()].concat())
}
