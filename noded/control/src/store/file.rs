//! The store's one file: appended to, now and then written anew without what is past.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::record::{self, Found, MAGIC, Record, What};
use super::seal::Seal;
use super::{Entry, NotOpened};

/// What a file holds.
pub(super) struct Loaded {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) revision: u64,
    pub(super) in_order: bool,
}

/// The file, open for appending.
pub(super) struct LogFile {
    file: File,
    path: PathBuf,
    /// Bytes that are known to be good.
    length: u64,
    seal: Seal,
    /// Held for as long as the store is open; the file itself is replaced now and then.
    _lock: File,
}

impl LogFile {
    /// Opens or makes the store in a folder: `store`, `store.key`, `store.lock`.
    pub(super) fn open(folder: &Path) -> Result<(Self, Loaded), NotOpened> {
        let at = |name: &str| folder.join(name);
        let failed = |path: &Path| {
            let shown = path.display().to_string();
            move |e| NotOpened::File(shown, e)
        };
        let lock_path = at("store.lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path).map_err(failed(&lock_path))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => NotOpened::Locked(folder.display().to_string()),
            TryLockError::Error(e) => NotOpened::File(lock_path.display().to_string(), e),
        })?;
        let key_path = at("store.key");
        let seal = Seal::open(&key_path).map_err(failed(&key_path))?;
        let path = at("store");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed(&path))?;
        let (loaded, good) = load(&bytes, &path.display().to_string(), &seal)?;
        let mut log = Self { file, path: path.clone(), length: good as u64, seal, _lock: lock };
        log.settle(bytes.len() as u64).map_err(failed(&path))?;
        Ok((log, loaded))
    }

    /// Cuts off a torn end and puts the head in.
    fn settle(&mut self, found: u64) -> io::Result<()> {
        if found > self.length {
            self.file.set_len(self.length)?;
        }
        self.file.seek(SeekFrom::Start(self.length))?;
        if self.length == 0 {
            self.file.write_all(MAGIC)?;
            self.length = MAGIC.len() as u64;
            self.file.sync_all()?;
            sync_folder(&self.path)?;
        }
        Ok(())
    }

    /// Adds a record to a buffer, sealed where its key asks for it.
    pub(super) fn encode(&self, buffer: &mut Vec<u8>, record: &Record<'_>) -> io::Result<()> {
        if record.what == What::Put && Seal::covers(record.key) {
            let value = self.seal.close(record.key, record.revision, record.value)?;
            record::push(buffer, &Record { what: What::PutSealed, value: &value, ..*record });
        } else {
            record::push(buffer, record);
        }
        Ok(())
    }

    /// Appends; after a failure the file is as it was.
    pub(super) fn append(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        if let Err(e) = self.file.write_all(bytes) {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            return Err(e);
        }
        if sync {
            // after a failed sync nobody knows what is on the disk: the caller stops
            self.file.sync_data()?;
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes the file anew with only what is there now.
    pub(super) fn rewrite<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>, revision: u64) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(&fresh)?;
        let mut buffer = MAGIC.to_vec();
        record::push(&mut buffer, &Record { what: What::Counter, revision, key: "", value: &[] });
        let mut length = 0;
        for entry in entries {
            self.encode(&mut buffer, &Record { what: What::Put, revision: entry.revision, key: &entry.key, value: &entry.value })?;
            if buffer.len() > 1 << 20 {
                file.write_all(&buffer)?;
                length += buffer.len();
                buffer.clear();
            }
        }
        file.write_all(&buffer)?;
        length += buffer.len();
        file.sync_all()?;
        std::fs::rename(&fresh, &self.path)?;
        sync_folder(&self.path)?;
        self.file = file;
        self.length = length as u64;
        Ok(())
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Reads all records; answers with what they say and where the good ones end.
fn load(bytes: &[u8], name: &str, seal: &Seal) -> Result<(Loaded, usize), NotOpened> {
    let mut loaded = Loaded { entries: BTreeMap::new(), revision: 0, in_order: true };
    if bytes.len() < MAGIC.len() && MAGIC.starts_with(bytes) {
        return Ok((loaded, 0));
    }
    if !bytes.starts_with(MAGIC) {
        return Err(NotOpened::Foreign(name.into()));
    }
    let mut at = MAGIC.len();
    loop {
        match record::read(bytes, at) {
            Found::Record(record, next) => {
                take(&mut loaded, &record, seal).ok_or_else(|| NotOpened::Sealed(name.into()))?;
                at = next;
            }
            Found::End => return Ok((loaded, at)),
            Found::Torn => {
                loaded.in_order = false;
                return Ok((loaded, at));
            }
            Found::Damaged => return Err(NotOpened::Damaged(name.into(), at)),
        }
    }
}

fn take(loaded: &mut Loaded, record: &Record<'_>, seal: &Seal) -> Option<()> {
    loaded.revision = loaded.revision.max(record.revision);
    loaded.in_order = record.what == What::Closed;
    let value = match record.what {
        What::Put => record.value.to_vec(),
        What::PutSealed => seal.reveal(record.key, record.revision, record.value)?,
        What::Remove => {
            loaded.entries.remove(record.key);
            return Some(());
        }
        What::Counter | What::Closed => return Some(()),
    };
    loaded.entries.insert(record.key.into(), Entry { key: record.key.into(), revision: record.revision, value: value.into() });
    Some(())
}
