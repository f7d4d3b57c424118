//! How an object is kept under its key: its JSON without the revision, which etcd counts; a secret's is sealed.

use std::io;

use bytes::Bytes;
use serde_json::Value;

use crate::store::Entry;
use crate::store::embedded::stamped;
use crate::store::seal::Seal;

/// A sealed value begins so; JSON never does.
const SEALED: u8 = 1;

/// etcd says the revision only once it is written, so it is no part of what is sealed.
const UNKNOWN: u64 = 0;

/// What etcd gets.
pub(super) fn closed(seal: &Seal, key: &str, object: &Value) -> io::Result<Bytes> {
    let mut object = object.clone();
    if let Value::Object(meta) = &mut object["metadata"] {
        meta.shift_remove("resourceVersion");
    }
    let value = object.to_string().into_bytes();
    if !Seal::covers(key) {
        return Ok(value.into());
    }
    sealed(seal, key, &value)
}

/// Sealed, whatever it is.
pub(super) fn sealed(seal: &Seal, key: &str, value: &[u8]) -> io::Result<Bytes> {
    let mut bytes = vec![SEALED];
    bytes.extend(seal.close(key, UNKNOWN, value)?);
    Ok(bytes.into())
}

/// What was sealed; nothing for what was not, or with another key.
pub(super) fn revealed(seal: &Seal, key: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    seal.reveal(key, UNKNOWN, bytes.strip_prefix(&[SEALED])?)
}

/// The entry that etcd has under a key; nothing for what cannot be read. A secret that is not sealed is not taken: whoever can write to
/// etcd could otherwise give everyone a secret of theirs.
pub(super) fn opened(seal: &Seal, key: &str, revision: u64, bytes: &[u8]) -> Option<Entry> {
    let object = match Seal::covers(key) {
        true => serde_json::from_slice(&revealed(seal, key, bytes)?),
        false => serde_json::from_slice(bytes),
    };
    Some(stamped(key, object.ok()?, revision))
}
