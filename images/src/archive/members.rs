//! What is in an archive, and where.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use sys::Call;

use super::InvalidArchive;
use super::plain::{plain, plain_layer};
use crate::Digest;
use crate::error::{Doing, Error, Result, has_size};
use crate::push::Part;
use crate::store::Store;
use crate::unpack::archive::{Archive, Kind};
use crate::unpack::{ReadError, hash};

/// More members than an archive of images needs.
const LIMIT: usize = 1 << 16;
/// Most bytes of all their names.
const NAMES: usize = 16 << 20;
/// Links from one member to the next.
const HOPS: usize = 8;
/// Bytes that are read at once while headers are looked for: one header, and little of what is behind it.
const LOOK: u64 = 4096;

/// The members of an archive by their names.
#[derive(Debug)]
pub(super) struct Members {
    /// Where what has to be unpacked first goes.
    store: Store,
    members: BTreeMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    File(Part),
    /// The name of another member.
    Link(String),
}

impl Members {
    /// Reads the headers. What is compressed, or comes through a pipe, goes into a file without a name first.
    pub(super) fn open(store: &Store, input: File) -> Result<Self> {
        let file = plain(store, input)?;
        let size = file.metadata().call(|| "fstat()").doing(|| "open the archive")?.len();
        let whole = Part { file: Arc::new(file.into()), start: 0, size };
        let mut members = BTreeMap::new();
        let mut at = 0;
        let (mut seen, mut names) = (0, 0);
        while at < whole.size {
            let mut archive = Archive::new(Window::new(whole.clone(), at));
            let member = archive.next().map_err(|error| invalid(error, seen))?;
            let data = archive.into_input().position();
            let Some(member) = member else { break };
            seen += 1;
            let problem = |problem| Error::from(InvalidArchive::Tar { after: seen, problem });
            if seen > LIMIT {
                return Err(problem("more than 65536 members"));
            }
            names += member.path.len() + member.link.len();
            if names > NAMES {
                return Err(problem("its members have names of more than 16 MiB"));
            }
            let length = if member.kind == Kind::File { member.size } else { 0 };
            let end = data.checked_add(length).filter(|end| *end <= whole.size).ok_or_else(|| problem("it is cut off"))?;
            let name = clean(&String::from_utf8_lossy(&member.path), "");
            let link = String::from_utf8_lossy(&member.link);
            let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
            match (member.kind, member.segments.is_some()) {
                (Kind::File, true) => return Err(problem("a member is sparse")),
                (Kind::File, false) => {
                    members.insert(name, Member::File(Part { start: data, size: length, ..whole.clone() }));
                }
                (Kind::Symlink, _) => {
                    let target = clean(&link, folder);
                    members.insert(name, Member::Link(target));
                }
                (Kind::Link, _) => {
                    members.insert(name, Member::Link(clean(&link, "")));
                }
                _ => {}
            }
            at = end.next_multiple_of(512);
        }
        Ok(Members { store: store.clone(), members })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file(name).is_some()
    }

    /// The bytes of a file, through links.
    pub(super) fn part(&self, name: &str) -> Result<&Part> {
        self.file(name).ok_or_else(|| InvalidArchive::Missing { name: name.chars().take(200).collect() }.into())
    }

    /// The bytes of a layer's file, as they are or in a form in which a registry takes them.
    pub(super) fn layer(&self, name: &str) -> Result<Part> {
        let part = self.part(name)?;
        Ok(plain_layer(&self.store, part)?.unwrap_or_else(|| part.clone()))
    }

    /// All bytes of a small file.
    pub(super) fn small(&self, name: &str, limit: u64) -> Result<Bytes> {
        let part = self.part(name)?;
        if part.size > limit {
            return Err(Error::TooLarge { what: format!("{name} in the archive"), limit });
        }
        part.piece(0, limit)
    }

    /// All bytes of a document, which are what its digest says.
    pub(super) fn document(&self, digest: &Digest, limit: u64) -> Result<Bytes> {
        let bytes = self.small(&path(digest), limit)?;
        let found = digest.same_kind(&bytes);
        if found != *digest {
            let (expected, found) = (digest.to_string(), found.to_string());
            return Err(Error::DigestMismatch { what: path(digest), expected, found });
        }
        Ok(bytes)
    }

    /// The same for one that another document names, which may have it within.
    pub(super) fn named(&self, (digest, size): (&Digest, u64), data: Option<&Bytes>, limit: u64) -> Result<Bytes> {
        if let Some(data) = data {
            return Ok(data.clone());
        }
        let bytes = self.document(digest, limit)?;
        has_size(&path(digest), bytes.len() as u64, size)?;
        Ok(bytes)
    }

    fn file(&self, name: &str) -> Option<&Part> {
        let mut name = clean(name, "");
        for _ in 0..HOPS {
            match self.members.get(&name)? {
                Member::File(part) => return Some(part),
                Member::Link(target) => name.clone_from(target),
            }
        }
        None
    }
}

/// Where a layout has a blob.
pub(super) fn path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.hex())
}

/// The digest of a file's bytes.
pub(super) fn digest(part: &Part) -> Result<Digest> {
    let mut hasher = hash::Hasher::new(hash::Algorithm::Sha256);
    let mut at = 0;
    loop {
        let piece = part.piece(at, 1 << 20)?;
        if piece.is_empty() {
            let digest = hasher.finish();
            return digest.parse().map_err(|_| Error::Damaged { what: digest });
        }
        at += piece.len() as u64;
        hasher.update(&piece);
    }
}

/// A name without `.`, `..`, and slashes that say nothing; a link's target starts from `folder`.
fn clean(name: &str, folder: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let folder = if name.starts_with('/') { "" } else { folder };
    for part in folder.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn invalid(error: ReadError, after: usize) -> Error {
    let problem = match error {
        ReadError::Malformed(malformed) => malformed.0,
        ReadError::Input(_) => "it is cut off",
    };
    InvalidArchive::Tar { after, problem }.into()
}

/// A file that ends with its descriptor (open(2), O_TMPFILE).
pub(crate) fn nameless(store: &Store) -> Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let open: sys::Result<OwnedFd> =
        rustix::fs::open(store.root(), flags, Mode::RUSR | Mode::WUSR).call(|| format!("open({:?}, O_TMPFILE)", store.root()));
    open.map(File::from).map_err(|source| store.full_or(source, || "unpack the archive"))
}

/// Reads from a place in a file on.
struct Window {
    part: Part,
    /// Where `buffer` begins.
    start: u64,
    buffer: Bytes,
    at: usize,
}

impl Window {
    fn new(part: Part, start: u64) -> Self {
        Window { part, start, buffer: Bytes::new(), at: 0 }
    }

    fn position(&self) -> u64 {
        self.start + self.at as u64
    }
}

impl Read for Window {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Window {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.start += self.at as u64;
            self.buffer = self.part.piece(self.start, LOOK).map_err(io::Error::other)?;
            self.at = 0;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_only_names() {
        assert_eq!(clean("./blobs//sha256/./x", ""), "blobs/sha256/x");
        assert_eq!(clean("../b/layer.tar", "a"), "b/layer.tar");
        assert_eq!(clean("/etc/passwd", "a"), "etc/passwd");
        assert_eq!(clean("../../../x", "a"), "x");
    }
}
