//! The files of a result, for who wants no image.

use std::io::Write;
use std::path::Path;

use super::failure::{BuildError, BuildFailed, For};
use super::job::Built;
use super::place::Placing;
use super::select::{Tree, Wanted};
use super::work::Work;
use crate::Engine;

impl Built {
    /// Writes all files to `out` as a tar archive.
    ///
    /// # Errors
    /// `out` takes no more; a file cannot be read.
    pub fn write_tar(&self, engine: &Engine, out: &mut dyn Write) -> Result<(), BuildFailed> {
        let work = Work::on(engine, self.state())?;
        images::pack(work.root(), images::Owners::default(), out).map_err(BuildError::from)?;
        Ok(())
    }

    /// Copies all files into a folder of the host, made if it is missing. They belong to whoever they belong to in the image.
    ///
    /// # Errors
    /// A folder is where a file is to go, and the like.
    pub fn write_folder(&self, engine: &Engine, to: &Path) -> Result<(), BuildFailed> {
        let copy = || -> Result<(), BuildError> {
            std::fs::create_dir_all(to).map_err(|error| BuildError::Invalid(format!("make {}: {error}", to.display())))?;
            let target = sys::fs::open_dir(to).to(|| format!("open {}", to.display()))?;
            let work = Work::on(engine, self.state())?;
            let root = work.root().try_clone_to_owned();
            let root = sys::Call::call(root, || "fcntl(F_DUPFD_CLOEXEC)").to(|| "open the result")?;
            let tree = Tree { root, ignore: Default::default(), of_root: false };
            let all = tree.select(&Wanted { sources: &[".".to_owned()], ..Wanted::default() })?;
            let root = std::os::fd::AsFd::as_fd(&target);
            Placing { root, target: "/", folder: true, owner: None, mode: None }.copy(&tree, &all)
        };
        Ok(copy()?)
    }
}
