//! The blob of a layer whose files are in its image already: a plain archive, of which only what is between the files is kept, and where in
//! the image they are. Layers that come from archives would take their space twice otherwise.
//!
//! ```text
//! magic │ count │ count × (where in the blob, where in the image, length) │ all else of the blob
//! ```
//!
//! Numbers have 64 bits, lowest byte first. Files go up in the blob and never overlap. An image never loses the bytes of a file: what completes
//! it is put behind them (`adopt`).

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use sys::Call;

use super::kept::BLOB;
use super::layers::IMAGE;
use crate::unpack::Place;

/// The file's name in a layer's folder, where it stands for the blob.
pub(super) const FOLDED: &str = "folded";
const MAGIC: &[u8; 16] = b"rctr folded: 1\n\0";
const NUMBER: usize = 8;
/// The most files of a layer that are looked for in its image.
const MOST: u64 = 1 << 24;
/// Bytes that are moved at once.
const PIECE: usize = 256 << 10;

/// A blob that is put together as it is read.
#[derive(Debug)]
pub(crate) struct Folded {
    text: File,
    image: File,
    places: Vec<Place>,
    /// Bytes of all files before each of them.
    before: Vec<u64>,
    /// Where the rest begins in the text.
    rest: u64,
    /// Bytes of the blob.
    size: u64,
}

/// Folds the blob in `folder`, as far as it has files that are in the image there. One that has none stays what it is.
pub(super) fn fold(folder: &Path, places: &[Place]) -> sys::Result<()> {
    let (blob_path, path) = (folder.join(BLOB), folder.join(FOLDED));
    let open = |path: &Path| File::open(path).call(|| format!("open({path:?})"));
    let (blob, image) = (open(&blob_path)?, open(&folder.join(IMAGE))?);
    let size = blob.metadata().call(|| format!("stat({blob_path:?})"))?.len();
    let what = || format!("fold({blob_path:?})");
    let mut found: Vec<Place> = Vec::new();
    for place in places {
        let end = found.last().map_or(0, |last| last.blob + last.length);
        if place.blob >= end && is_there(&blob, &image, place).call(what)? {
            found.push(*place);
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let out = File::options().write(true).create_new(true).open(&path).call(|| format!("open({path:?}, O_CREAT | O_EXCL)"))?;
    write(&blob, size, &found, BufWriter::with_capacity(PIECE, out)).call(|| format!("write({path:?})"))?;
    std::fs::remove_file(&blob_path).call(|| format!("unlink({blob_path:?})"))
}

/// Whether the image has these bytes of the blob.
fn is_there(blob: &File, image: &File, place: &Place) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < place.length {
        let length = usize::try_from(place.length - at).unwrap_or(PIECE).min(PIECE);
        blob.read_exact_at(&mut ours[..length], place.blob + at)?;
        image.read_exact_at(&mut theirs[..length], place.image + at)?;
        if ours[..length] != theirs[..length] {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

fn write(blob: &File, size: u64, places: &[Place], mut out: impl Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&(places.len() as u64).to_le_bytes())?;
    for number in places.iter().flat_map(|place| [place.blob, place.image, place.length]) {
        out.write_all(&number.to_le_bytes())?;
    }
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    let end = Place { blob: size, image: 0, length: 0 };
    for place in places.iter().chain([&end]) {
        while at < place.blob {
            let length = usize::try_from(place.blob - at).unwrap_or(PIECE).min(PIECE);
            blob.read_exact_at(&mut piece[..length], at)?;
            out.write_all(&piece[..length])?;
            at += length as u64;
        }
        at += place.length;
    }
    out.flush()
}

impl Folded {
    /// What is in the open file `text`, with the layer's image.
    ///
    /// # Errors
    /// It makes no sense.
    pub(super) fn open(mut text: File, image: File) -> io::Result<Self> {
        let nonsense = || io::Error::from(io::ErrorKind::InvalidData);
        let whole = text.metadata()?.len();
        let mut head = [0; MAGIC.len() + NUMBER];
        text.read_exact(&mut head)?;
        let count = number(&head[MAGIC.len()..]);
        let table = count.checked_mul(3 * NUMBER as u64).filter(|_| count <= MOST).ok_or_else(nonsense)?;
        let rest = head.len() as u64 + table;
        if !head.starts_with(MAGIC) || rest > whole {
            return Err(nonsense());
        }
        let mut table = vec![0; table as usize];
        text.read_exact(&mut table)?;
        let place =
            |bytes: &[u8]| Place { blob: number(bytes), image: number(&bytes[NUMBER..]), length: number(&bytes[2 * NUMBER..]) };
        let places: Vec<Place> = table.chunks_exact(3 * NUMBER).map(place).collect();
        let (mut before, mut sum, mut end) = (Vec::with_capacity(places.len()), 0u64, 0);
        for place in &places {
            before.push(sum);
            sum = sum.checked_add(place.length).ok_or_else(nonsense)?;
            let next = place
                .blob
                .checked_add(place.length)
                .filter(|_| place.blob >= end && place.image.checked_add(place.length).is_some());
            end = next.ok_or_else(nonsense)?;
        }
        let size = (whole - rest).checked_add(sum).filter(|size| end <= *size).ok_or_else(nonsense)?;
        Ok(Folded { text, image, places, before, rest, size })
    }

    /// Reads some of the bytes at `at`; none at the end.
    pub(super) fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        let next = self.places.partition_point(|place| place.blob <= at);
        let gone = match next.checked_sub(1).map(|last| (self.places[last], self.before[last])) {
            Some((place, _)) if at < place.blob + place.length => {
                let within = at - place.blob;
                let into = first(into, place.length - within);
                // A file that is not there any more would be an end that is none.
                return self.image.read_exact_at(into, place.image + within).map(|()| into.len());
            }
            Some((place, before)) => before + place.length,
            None => 0,
        };
        let until = self.places.get(next).map_or(self.size, |place| place.blob);
        self.text.read_at(first(into, until.saturating_sub(at)), self.rest + at - gone)
    }

    /// Has the disk asked for what is read next.
    pub(super) fn forget_cached(&self) {
        crate::sums::from_disk(&self.text);
        crate::sums::from_disk(&self.image);
    }
}

fn first(bytes: &mut [u8], most: u64) -> &mut [u8] {
    let length = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
    &mut bytes[..length]
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(NUMBER).rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A blob with two files that are in an image, in a folder.
    fn folder() -> (tempfile::TempDir, Vec<u8>, Vec<Place>) {
        let folder = tempfile::tempdir().unwrap();
        let blob: Vec<u8> = (0..700_000u32).flat_map(|number| number.to_le_bytes()).collect();
        let places = vec![
            Place { blob: 512, image: 8192, length: 900_000 },
            // It lies about what is there.
            Place { blob: 1_000_000, image: 0, length: 4096 },
            Place { blob: 1_500_000, image: 1_000_000, length: 1_300_000 },
        ];
        let mut image = vec![0; 3_000_000];
        for place in [&places[0], &places[2]] {
            let (from, to, length) = (place.blob as usize, place.image as usize, place.length as usize);
            image[to..to + length].copy_from_slice(&blob[from..from + length]);
        }
        std::fs::write(folder.path().join(BLOB), &blob).unwrap();
        std::fs::write(folder.path().join(IMAGE), image).unwrap();
        (folder, blob, places)
    }

    fn open(folder: &Path) -> io::Result<Folded> {
        Folded::open(File::open(folder.join(FOLDED)).unwrap(), File::open(folder.join(IMAGE)).unwrap())
    }

    #[test]
    fn it_is_the_blob_wherever_it_is_read() {
        let (folder, blob, places) = folder();
        fold(folder.path(), &places).unwrap();
        assert!(!folder.path().join(BLOB).exists());
        let size = std::fs::metadata(folder.path().join(FOLDED)).unwrap().len();
        assert_eq!(size, 24 + 2 * 24 + blob.len() as u64 - 900_000 - 1_300_000);
        let folded = open(folder.path()).unwrap();
        for start in [0, 1, 511, 512, 900_511, 900_512, 1_000_000, 1_499_999, 1_500_000, 2_799_999, 2_800_000] {
            let (mut all, mut buffer) = (Vec::new(), vec![0; 100_001]);
            loop {
                match folded.read_at(&mut buffer, start + all.len() as u64).unwrap() {
                    0 => break,
                    length => all.extend_from_slice(&buffer[..length]),
                }
            }
            assert!(all == blob[start as usize..], "from {start}");
        }
        assert_eq!(folded.read_at(&mut [0; 10], blob.len() as u64 + 5).unwrap(), 0);
    }

    #[test]
    fn without_a_file_it_stays() {
        let (folder, blob, places) = folder();
        fold(folder.path(), &places[1..2]).unwrap();
        assert!(std::fs::read(folder.path().join(BLOB)).unwrap() == blob && !folder.path().join(FOLDED).exists());
    }

    #[test]
    fn nonsense_is_refused() {
        let (folder, _, places) = folder();
        fold(folder.path(), &places).unwrap();
        let path = folder.path().join(FOLDED);
        let good = std::fs::read(&path).unwrap();
        let with = |at: usize, number: u64| {
            let mut bad = good.clone();
            bad[at..at + 8].copy_from_slice(&number.to_le_bytes());
            bad
        };
        for bad in [
            with(0, 0),
            with(16, 1 << 40),
            with(16, 1 << 20),
            with(40, u64::MAX),
            with(48, 0),
            with(24, 1 << 60),
            good[..20].to_vec(),
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(open(folder.path()).is_err());
        }
    }
}
