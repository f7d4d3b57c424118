//! Device nodes, the links beside them, the console.

use std::path::{Path, PathBuf};

use launch::Step;
use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType, Spec};
use rustix::fs::FileType;

use super::{Build, mounts};
use crate::Error;

/// What every container has (runtime-spec, "default devices"): name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links that every container has.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// Compiles `linux.devices` and adds the defaults. A `/dev` bound from the host stays as it is, as with runc: what would be made
/// there would be made on the host.
pub(super) fn devices(spec: &Spec, linux: &Linux, terminal: bool, build: &mut Build) -> Result<(), Error> {
    let devices = linux.devices().as_deref().unwrap_or_default();
    if bound(spec) {
        if !devices.is_empty() {
            return Err(Error::invalid("linux.devices", "no device can be made in a /dev that is bound from the host"));
        }
    } else {
        for (at, device) in devices.iter().enumerate() {
            let step = node(device, at)?;
            build.steps.push(step);
        }
        let own = |path: &Path| devices.iter().any(|device| device.path() == path);
        for (name, major, minor) in NODES {
            let path = Path::new("/dev").join(name);
            if !own(&path) {
                build.steps.push(Step::Device { path, mode: character(0o666), major, minor, uid: 0, gid: 0 });
            }
        }
        for (name, content) in LINKS {
            let path = Path::new("/dev").join(name);
            if !own(&path) {
                build.steps.push(Step::Symlink { content: content.to_owned(), path });
            }
        }
    }
    if terminal {
        build.steps.push(Step::Console);
    }
    let late = std::mem::take(&mut build.late);
    build.steps.extend(late);
    Ok(())
}

/// True when `/dev` comes from the host.
fn bound(spec: &Spec) -> bool {
    spec.mounts().iter().flatten().any(|mount| {
        let bind = |option: &String| option == "bind" || option == "rbind";
        let is_dev = Path::new("/").join(mount.destination()).components().eq(Path::new("/dev").components());
        is_dev && (mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(bind))
    })
}

fn character(permissions: u32) -> u32 {
    FileType::CharacterDevice.as_raw_mode() | permissions
}

fn node(device: &LinuxDevice, at: usize) -> Result<Step, Error> {
    let field = |name: &str| format!("linux.devices[{at}].{name}");
    let path: PathBuf = mounts::absolute(device.path(), &field("path"))?;
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(Error::invalid(field("type"), "a is for rules; a device is b, c, u or p")),
    };
    let mode = device.file_mode().unwrap_or(0o666);
    // Docker sends the whole st_mode of the host's node.
    let permissions = mode & 0o7777;
    let number = |name: &str, number: i64| {
        u32::try_from(number).map_err(|_| Error::invalid(field(name), format!("{number} is not a device number")))
    };
    Ok(Step::Device {
        path,
        mode: kind.as_raw_mode() | permissions,
        major: number("major", device.major())?,
        minor: number("minor", device.minor())?,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    })
}
