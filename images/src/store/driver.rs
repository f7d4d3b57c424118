//! Folder trees or EROFS images.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::MountAttrFlags;
use sys::Call;
use sys::mount::Filesystem;

use super::Store;
use crate::erofs::{self, Way};
use crate::error::{Error, Result};
use crate::unpack;

/// How layers are kept that come into a store. Both kinds may be in one: each layer says which it is.
///
/// The node image of six layers (2 cores, Linux 6.18, ext4; the best of several pulls):
///
/// | | tree | erofs |
/// |---|---|---|
/// | pull: wall, system time | 0.64 s, 0.21 s | 0.52 s, 0.10 s |
/// | on disk | 263 MB in 8 500 files | 253 MB in 6 files |
/// | `run --rm` of `true`, without network | | as long as with a tree |
/// | the same, if each start mounted the images | | 2.2 ms more |
/// | a file in memory, however many containers read it | once | once, and once more in the image's own pages |
///
/// So images are better where they can be mounted, as each is mounted once for all containers (`super::shared`). What the last line
/// says of the image's own pages: they are clean once they are written, and the first that the kernel takes back. With EROFS's
/// option `directio` there would be none, but a start right after a pull would wait for the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Driver {
    /// Images where the kernel can mount them, folders elsewhere: before EROFS took part in it, or in a container whose own root is
    /// an overlay.
    #[default]
    Auto,
    /// One image per layer, that is mounted. Where the kernel cannot do that a pull is an error.
    Erofs,
    /// Folders with files.
    Tree,
}

impl FromStr for Driver {
    type Err = InvalidDriver;

    fn from_str(text: &str) -> std::result::Result<Self, InvalidDriver> {
        match text {
            "auto" => Ok(Driver::Auto),
            "erofs" => Ok(Driver::Erofs),
            "tree" => Ok(Driver::Tree),
            _ => Err(InvalidDriver(text.to_owned())),
        }
    }
}

/// It is none of the drivers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("storage driver {0:?} is none of auto, erofs and tree")]
pub struct InvalidDriver(String);

/// A layer as overlayfs takes it.
#[derive(Debug)]
pub enum Lower {
    /// A folder of the store.
    Folder(PathBuf),
    /// A mount: one that others use as well if the store shares its layers ([`Store::sharing`]). Otherwise it is attached nowhere, and
    /// goes with its last descriptor and the last mount on top of it.
    Mount(OwnedFd),
}

impl Lower {
    /// Where this process finds the files, as long as this value lives.
    pub fn path(&self) -> PathBuf {
        match self {
            Lower::Folder(path) => path.clone(),
            Lower::Mount(mount) => format!("/proc/self/fd/{}", mount.as_raw_fd()).into(),
        }
    }
}

impl Store {
    /// The same store with another way to keep new layers.
    pub fn with_driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// Whether a new layer becomes an image.
    pub(crate) fn makes_images(&self) -> Result<bool> {
        let can_mount = || self.can_mount.get_or_init(|| self.probe());
        match self.driver {
            Driver::Tree => Ok(false),
            Driver::Auto => Ok(can_mount().is_ok()),
            Driver::Erofs => match can_mount() {
                Ok(()) => Ok(true),
                Err(source) => Err(Error::NoErofs { folder: self.root.clone(), source: source.clone() }),
            },
        }
    }

    /// Tries it: the kernel may lack EROFS, take no files, or find that too many file systems are on top of each other.
    fn probe(&self) -> sys::Result<()> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = open(&self.root, flags, Mode::from_raw_mode(0o600)).call(|| format!("open({:?}, O_TMPFILE)", self.root))?;
        let file = File::from(file);
        let image = erofs::Image::new(file.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?)?;
        // An archive without members cannot be wrong.
        let _ = unpack::members_of(image, &[][..]);
        let mount = mount(&file)?;
        let overlay = Filesystem::open("overlay")?;
        overlay.set("lowerdir", format!("/proc/self/fd/{}:{}", mount.as_raw_fd(), escaped(&self.root)))?;
        match overlay.mount(MountAttrFlags::MOUNT_ATTR_RDONLY) {
            // Before 6.15 a layer has to be attached somewhere, which is another matter.
            Err(error) if error.errno() != rustix::io::Errno::INVAL => Err(error),
            _ => Ok(()),
        }
    }
}

/// Mounts an image as it is, and through a loop device where that is not possible.
pub(super) fn mount(image: &File) -> sys::Result<OwnedFd> {
    erofs::mount(image, Way::File).or_else(|first| erofs::mount(image, Way::Loop).map_err(|_| first))
}

/// A path in an option whose parts are separated by colons.
fn escaped(path: &std::path::Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace(':', "\\:")
}
