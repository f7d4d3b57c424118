//! Archives of files, as `ADD` takes them.

use std::fs::File;
use std::io::{self, Seek};
use std::path::Path;
use std::thread::{Builder, scope};

use sys::Call;

use crate::archive::{head, plain, read};
use crate::error::{Doing, Error, Result};
use crate::store::Store;
use crate::unpack::hash::Algorithm;
use crate::unpack::header::{self, BLOCK};
use crate::unpack::{self, Destination, ring};

/// The file itself, read from its beginning, if it is a tar archive, however it is compressed.
pub fn archive(mut file: File) -> Result<Option<File>> {
    let mut look = || -> io::Result<bool> {
        let mut block = [0; BLOCK];
        // What is no compressed data after all is no archive either.
        let found = head(&mut file, &mut block)?;
        let found = found.is_some_and(|head| head.len() == BLOCK) && header::parse(&block).is_ok_and(|block| block.is_some());
        file.rewind()?;
        Ok(found)
    };
    let found = look().call(|| "read()").doing(|| "look at an archive")?;
    Ok(found.then_some(file))
}

/// Unpacks an archive into an empty folder.
///
/// # Errors
/// It is damaged or reaches outside; the disk is full.
pub fn unpack(store: &Store, input: File, folder: &Path) -> Result<()> {
    let mut input = plain(store, input)?;
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
        let length = read(input, &mut buffer)?;
        if length == 0 {
            return Ok(true);
        }
        if to.write(&buffer[..length]).is_err() {
            return Ok(false);
        }
    }
}
