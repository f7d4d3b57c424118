//! Archives of files, as `ADD` takes them.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::thread::{Builder, scope};

use sys::Call;

use crate::archive::{compressed_otherwise, plain};
use crate::error::{Doing, Error, Result};
use crate::store::Store;
use crate::unpack::hash::Algorithm;
use crate::unpack::header::{self, BLOCK};
use crate::unpack::{self, Destination, ring};

/// The file itself, read from its beginning, if it is a tar archive: plain, gzip or zstd. One that is compressed with something else is taken for
/// one, too: [`unpack()`] says what it is.
pub fn archive(mut file: File) -> Result<Option<File>> {
    let mut look = || -> io::Result<bool> {
        let mut start = [0; 4];
        let length = fill(&mut file, &mut start)?;
        file.rewind()?;
        let is_tar = |input: &mut dyn Read| {
            let mut block = [0; BLOCK];
            // What is no compressed data after all is no archive either.
            fill(input, &mut block).is_ok_and(|length| length == BLOCK) && header::parse(&block).is_ok_and(|block| block.is_some())
        };
        let found = match &start[..length] {
            [0x1f, 0x8b, ..] => is_tar(&mut flate2::read::MultiGzDecoder::new(&file)),
            [0x28, 0xb5, 0x2f, 0xfd] => zstd::stream::read::Decoder::new(&file).is_ok_and(|mut input| is_tar(&mut input)),
            start if compressed_otherwise(start) => true,
            _ => is_tar(&mut &file),
        };
        file.rewind()?;
        Ok(found)
    };
    let found = look().call(|| "read()").doing(|| "look at an archive")?;
    Ok(found.then_some(file))
}

/// Unpacks an archive into an empty folder.
///
/// # Errors
/// It is damaged, reaches outside, or is compressed with what is not read here; the disk is full.
pub fn unpack(store: &Store, input: File, folder: &Path) -> Result<()> {
    let mut input = plain(store, input)?;
    input.rewind().call(|| "lseek(0)").doing(|| "read the archive")?;
    let root = sys::fs::open_dir(folder).doing(|| "unpack an archive")?;
    let (mut tar, reader) = ring::ring(Algorithm::Sha256);
    scope(|scope| {
        let thread = Builder::new()
            .name("unpack".to_owned())
            .spawn_scoped(scope, move || unpack::write(Destination::Tree(root, None), reader));
        let thread = thread.call(|| "clone(CLONE_THREAD)").doing(|| "unpack an archive")?;
        let copied = feed(&mut input, &mut tar);
        let ended = copied.map(|whole| if whole { drop(tar.end()) } else { drop(tar) });
        let unpacked = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map_err(Error::ReadArchive)?;
        unpacked.map(drop).map_err(Error::UnpackArchive)
    })
}

/// Hands all bytes on. False: whoever takes them has stopped, and says why.
fn feed(input: &mut File, to: &mut ring::Writer) -> io::Result<bool> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let length = match input.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        if length == 0 {
            return Ok(true);
        }
        if to.write(&buffer[..length]).is_err() {
            return Ok(false);
        }
    }
}

/// Reads until the buffer is full or nothing more comes.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match input.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
