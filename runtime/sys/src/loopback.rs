//! A file as a block device (loop(4)).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::{Call, Error, Result};

const LOOP_CTL_GET_FREE: u32 = 0x4c82;
const LOOP_CONFIGURE: u32 = 0x4c0a;

const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;

/// Numbers that others may take between the two calls.
const TRIES: usize = 64;

/// `struct loop_config` of `linux/loop.h`, with `struct loop_info64` in it.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    unused: [u64; 5],
    numbers: [u32; 3],
    flags: u32,
    names: [u64; 22],
    reserved: [u64; 8],
}

/// A read-only block device of blocks of `block` bytes. It is gone when it is neither open nor mounted.
#[derive(Debug)]
pub struct Loop {
    /// Its path, `/dev/loopN`.
    pub path: PathBuf,
    _open: File,
}

/// `LOOP_CTL_GET_FREE` and `LOOP_CONFIGURE` (since Linux 5.8) of `file`, read without a second copy in memory where its file system can.
///
/// # Errors
/// `ENOENT` without `/dev/loop-control`; `EPERM`; `ENXIO` in a container without the devices.
pub fn attach(file: impl AsFd, block: u32) -> Result<Loop> {
    const CONTROL: &str = "/dev/loop-control";
    let control = File::options().read(true).open(CONTROL).call(|| format!("open({CONTROL:?})"))?;
    for _ in 0..TRIES {
        // SAFETY: the request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(Error::last("ioctl(/dev/loop-control, LOOP_CTL_GET_FREE)"));
        }
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let open = File::options().read(true).custom_flags(libc::O_CLOEXEC).open(&path).call(|| format!("open({path:?})"))?;
        match configure(&open, &file, block) {
            Ok(()) => return Ok(Loop { path, _open: open }),
            Err(error) if error.errno() == Errno::BUSY => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new("ioctl(LOOP_CONFIGURE)", Errno::BUSY))
}

fn configure(device: &File, file: impl AsFd, block: u32) -> Result<()> {
    let fd = file.as_fd().as_raw_fd();
    let config = Config {
        fd: fd as u32,
        block_size: block,
        unused: [0; 5],
        numbers: [0; 3],
        flags: LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
        names: [0; 22],
        reserved: [0; 8],
    };
    // SAFETY: the structure is laid out as the kernel's, and only read.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("ioctl({}, LOOP_CONFIGURE, {fd})", device.as_raw_fd()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_the_kernels() {
        assert_eq!(size_of::<Config>(), 304);
        assert_eq!(std::mem::offset_of!(Config, flags), 8 + 52);
    }
}
