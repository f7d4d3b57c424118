//! A tar archive as a stream of members: long names, extended headers and sparse maps are merged into what they describe.
//!
//! The crate `tar` lays out the blocks. Its own iterator is not used: it takes names of any length into memory, reads
//! extended headers by lines, and hides which bytes a member has from whoever has to agree with Go's `archive/tar`, by
//! which images are made and scanned. Where parsers are known to disagree, this one refuses.

use std::io::{self, BufRead};

use tar::EntryType;

use super::header::{self, BLOCK, Block};
use super::pax::{self, Extended};
use super::sparse::{self, Segment};
use super::{Malformed, ReadError};

/// Most bytes of a long name or an extended header (as in Go).
const LIMIT: u64 = 1 << 20;

/// What a member becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    /// A further name of a file.
    Link,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// A member: everything but its bytes.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) kind: Kind,
    /// As written, not yet cleaned.
    pub(crate) path: Vec<u8>,
    /// Target of a link or symbolic link.
    pub(crate) link: Vec<u8>,
    /// Permissions with setuid, setgid and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(crate) mtime: (i64, u32),
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Size of the file, holes included.
    pub(crate) size: u64,
    /// Where the stored bytes go; `None`: one piece from 0 to `size`.
    pub(crate) segments: Option<Vec<Segment>>,
}

/// Reads members from `input`.
pub(crate) struct Archive<R> {
    input: R,
    /// Bytes of the current member that were not read, and the padding after them.
    left: u64,
    padding: u64,
    /// Bytes of the archive that were read.
    at: u64,
}

impl<R: BufRead> Archive<R> {
    pub(crate) fn new(input: R) -> Self {
        Archive { input, left: 0, padding: 0, at: 0 }
    }

    /// The next member, or `None` at the end of the archive (a block of zeros, or the end of input).
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ReadError> {
        let mut extended = None;
        let (mut long_path, mut long_link) = (None, None);
        loop {
            self.skip()?;
            let Some(block) = self.block()? else {
                let dangling = extended.is_some() || long_path.is_some() || long_link.is_some();
                return if dangling { Err(Malformed("the archive ends after an extended header").into()) } else { Ok(None) };
            };
            self.begin(block.size);
            match block.kind {
                EntryType::XHeader => once(&mut extended, pax::parse(&self.small()?)?)?,
                EntryType::XGlobalHeader => pax::check_global(&self.small()?)?,
                EntryType::GNULongName => once(&mut long_path, self.long_name()?)?,
                EntryType::GNULongLink => once(&mut long_link, self.long_name()?)?,
                _ => return self.member(block, extended.unwrap_or_default(), long_path, long_link).map(Some),
            }
        }
    }

    /// Up to `most` of the current member's next stored bytes; empty when there are none left.
    pub(crate) fn data(&mut self, most: u64) -> Result<&[u8], ReadError> {
        let most = most.min(self.left);
        if most == 0 {
            return Ok(&[]);
        }
        let bytes = fill(&mut self.input)?;
        let length = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(&bytes[..length])
    }

    /// Moves on by `length` bytes that [`Archive::data`] returned.
    pub(crate) fn consume(&mut self, length: usize) {
        self.take(length);
        self.left -= length as u64;
    }

    /// Where in the archive the next byte is.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    fn take(&mut self, length: usize) {
        self.input.consume(length);
        self.at += length as u64;
    }

    /// The input after the last member: what follows counts for the digest.
    pub(crate) fn into_input(self) -> R {
        self.input
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// Skips what is left of the current member.
    fn skip(&mut self) -> Result<(), ReadError> {
        let mut left = self.left.checked_add(self.padding).ok_or(Malformed("a size is too large"))?;
        while left > 0 {
            let length = fill(&mut self.input)?.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.take(length);
            left -= length as u64;
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    fn block(&mut self) -> Result<Option<Block>, ReadError> {
        if self.input.fill_buf().map_err(ReadError::Input)?.is_empty() {
            return Ok(None);
        }
        Ok(header::parse(&self.raw_block()?)?)
    }

    fn raw_block(&mut self) -> Result<[u8; BLOCK], ReadError> {
        let mut bytes = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let some = fill(&mut self.input)?;
            let length = some.len().min(BLOCK - filled);
            bytes[filled..filled + length].copy_from_slice(&some[..length]);
            self.take(length);
            filled += length;
        }
        Ok(bytes)
    }

    /// All bytes of the current member, which describes another one and hence is small.
    fn small(&mut self) -> Result<Vec<u8>, ReadError> {
        if self.left > LIMIT {
            return Err(Malformed("an extended header or long name is larger than 1 MiB").into());
        }
        let mut bytes = Vec::with_capacity(self.left as usize);
        while self.left > 0 {
            let some = self.data(LIMIT)?;
            bytes.extend_from_slice(some);
            let length = some.len();
            self.consume(length);
        }
        Ok(bytes)
    }

    fn long_name(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut name = self.small()?;
        name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
        Ok(name)
    }

    fn member(
        &mut self,
        block: Block,
        extended: Extended,
        long_path: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Member, ReadError> {
        let sparse_name = extended.sparse.name.clone().filter(|_| extended.sparse.version.is_some());
        let path = long_path.or(sparse_name).or(extended.path).unwrap_or(block.path);
        let kind = kind(block.flag, &path)?;
        // Only files have bytes, whatever the header says (as in Go); a size in an extended header always wins
        // (CVE-2025-62518, RUSTSEC-2026-0068).
        self.begin(if kind == Kind::File { extended.size.unwrap_or(block.size) } else { 0 });
        let (size, segments) = match (kind, block.kind) {
            (Kind::File, EntryType::GNUSparse) => self.old_sparse(&block.raw)?,
            (Kind::File, _) if extended.sparse.version.is_some() => self.extended_sparse(&extended.sparse)?,
            _ => (self.left, None),
        };
        let id = |id: u64| u32::try_from(id).map_err(|_| Malformed("an owner's number is larger than 32 bits"));
        Ok(Member {
            kind,
            path,
            link: long_link.or(extended.link).unwrap_or(block.link),
            mode: block.mode,
            uid: id(extended.uid.unwrap_or(block.uid))?,
            gid: id(extended.gid.unwrap_or(block.gid))?,
            mtime: extended.mtime.unwrap_or((block.mtime, 0)),
            device: (block.major, block.minor),
            xattrs: extended.xattrs,
            size,
            segments,
        })
    }

    /// The map of a GNU sparse file, whose further blocks stand between header and data and are no part of the size.
    fn old_sparse(&mut self, raw: &[u8; BLOCK]) -> Result<(u64, Option<Vec<Segment>>), ReadError> {
        let (mut numbers, mut more, size) = sparse::old_header(raw)?;
        while more {
            more = sparse::old_block(&self.raw_block()?, &mut numbers)?;
        }
        Ok((size, Some(sparse::segments(&numbers, size, self.left)?)))
    }

    /// The map of a sparse file of versions 0.0, 0.1 (in the header) or 1.0 (in front of the data).
    fn extended_sparse(&mut self, sparse: &pax::Sparse) -> Result<(u64, Option<Vec<Segment>>), ReadError> {
        let size = sparse.real_size.ok_or(Malformed("a sparse file has no size"))?;
        match sparse.version {
            Some((0, 0 | 1)) => Ok((size, Some(sparse::segments(&sparse.map, size, self.left)?))),
            Some((1, 0)) => {
                let mut numbers = sparse::Decimals::default();
                while numbers.wants_more() {
                    if self.left < BLOCK as u64 {
                        return Err(Malformed("a sparse map is cut off").into());
                    }
                    let block = self.raw_block()?;
                    self.left -= BLOCK as u64;
                    numbers.push(&block)?;
                }
                Ok((size, Some(sparse::segments(&numbers.into_map(), size, self.left)?)))
            }
            _ => Err(Malformed("a sparse file is of an unknown version").into()),
        }
    }
}

/// The input's next bytes; its end is an error here.
fn fill(input: &mut impl BufRead) -> Result<&[u8], ReadError> {
    let bytes = input.fill_buf().map_err(ReadError::Input)?;
    if bytes.is_empty() { Err(ReadError::Input(io::ErrorKind::UnexpectedEof.into())) } else { Ok(bytes) }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), ReadError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed("two extended headers describe one member").into()),
    }
}

fn kind(flag: u8, path: &[u8]) -> Result<Kind, Malformed> {
    Ok(match flag {
        // Before POSIX a folder was a file with a slash at the end.
        0 if path.ends_with(b"/") => Kind::Dir,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Link,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        _ => return Err(Malformed("a member is of an unknown type")),
    })
}
