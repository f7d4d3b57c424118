//! `volume export` and `volume import`: the files of a volume as an archive.

use std::fs::File;
use std::io::{BufReader, Seek, Write as Output};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use sys::Call;

use super::archive;
use super::item::Sink;
use super::write::{Owner, Way, Write};
use crate::error::During;
use crate::{Engine, Error, volume};

impl Engine {
    /// Writes the files of a volume to `out`, as a tar archive. Containers may change them meanwhile: a file is in it as far as it was read.
    ///
    /// # Errors
    /// [`Error::NoSuchVolume`]; its files cannot be read.
    pub fn volume_export(&self, name: &str, out: &mut dyn Output) -> Result<(), Error> {
        Ok(images::pack(self.files_of_volume(name)?.as_fd(), images::Owners::default(), out)?)
    }

    /// Puts what is in an archive, which may be compressed with gzip or zstd, into a volume, beside what is there. Answers how many bytes
    /// the files have.
    ///
    /// # Errors
    /// [`Error::NoSuchVolume`]; the archive is damaged or leads out of the volume. What was written by then stays.
    pub fn volume_import(&self, name: &str, input: File) -> Result<u64, Error> {
        let what = || format!("unpack into the volume {name}");
        let folder = self.files_of_volume(name)?;
        let mut input = images::plain(&self.images, input)?;
        input.rewind().call(|| "lseek(0)").during(what)?;
        let top = folder.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)").during(what)?;
        // As in a container that has the volume as its root: links lead nowhere else.
        let mut sink = Write::new(folder, Way::Inside(top, PathBuf::from("/")), Owner::Same, true, None).during(what)?;
        let bytes = archive::send(&mut BufReader::with_capacity(1 << 18, input), &mut sink)?;
        sink.finish()?;
        Ok(bytes)
    }

    fn files_of_volume(&self, name: &str) -> Result<OwnedFd, Error> {
        let tree = volume::tree(&self.config, name, &self.volume(name)?.record)?;
        // Read and written through a descriptor of its own; what is mounted stays until the last of them is closed.
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::openat(&tree, ".", flags, rustix::fs::Mode::empty())
            .call(|| "openat(.)")
            .during(|| format!("open the volume {name}"))
    }
}
