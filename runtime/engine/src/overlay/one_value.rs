//! Layers for kernels before 6.7, which take all of them as one value.
//!
//! A value has 255 bytes at most (fsconfig(2)): not even three paths of layers. So each layer gets a name of one byte, a symbolic link in the root
//! of a file system in memory that is attached nowhere, and a thread that has that as its working directory tells the kernel these names.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use images::Lower;
use rustix::fs::symlinkat;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use rustix::process::fchdir;
use sys::Call;
use sys::mount::Filesystem;

use super::{Upper, with};

/// Names: the bytes from 128 on. None of them separates layers, or options.
const FIRST: u8 = 128;
/// As many layers fit: with what separates them, 255 bytes.
pub(super) const MOST: usize = 128;

/// Mounts `lower` (topmost first) below `upper`.
pub(super) fn mount(lower: &[Lower], source: &str, upper: Option<&Upper<'_>>) -> sys::Result<OwnedFd> {
    if lower.len() > MOST {
        let call = format!("fsconfig(overlay, \"lowerdir\"): {} layers, before Linux 6.7 overlayfs takes {MOST}", lower.len());
        return Err(sys::Error::new(call, Errno::INVAL));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("layers".to_owned()).spawn_scoped(scope, || named(lower, source, upper));
        let thread = thread.call(|| "clone(CLONE_THREAD)")?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The work of the thread.
fn named(lower: &[Lower], source: &str, upper: Option<&Upper<'_>>) -> sys::Result<OwnedFd> {
    // Its working directory is its own with it.
    sys::fs::private_umask()?;
    let memory = Filesystem::open("tmpfs")?;
    let names = memory.set("mode", "700")?.mount(MountAttrFlags::empty())?;
    let mut value = Vec::new();
    for (layer, name) in lower.iter().zip(FIRST..=u8::MAX) {
        let (path, name) = (layer.path(), [name]);
        symlinkat(&path, &names, OsStr::from_bytes(&name)).call(|| format!("symlinkat({path:?})"))?;
        if !value.is_empty() {
            value.push(b':');
        }
        value.extend(name);
    }
    fchdir(&names).call(|| "fchdir()")?;
    with(source, upper, |overlay| overlay.set("lowerdir", OsStr::from_bytes(&value)).map(drop))
}
