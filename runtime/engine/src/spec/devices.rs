//! Devices of the host that a container gets.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};
use rustix::fs::{FileType, major, minor, stat};
use sys::Call;

use crate::error::During;
use crate::request::{Device, DeviceRule};
use crate::{Error, Record};

/// The nodes that `record` asks for, as they are on the host now, and the rules that allow their use.
pub(super) fn asked(record: &Record) -> Result<(Vec<LinuxDevice>, Vec<LinuxDeviceCgroup>), Error> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    for device in &record.tuning.devices {
        let before = nodes.len();
        collect(device, &device.host, &device.container, &mut nodes)?;
        if nodes.len() == before {
            let why = "it is neither a device nor a folder with devices".to_owned();
            return Err(Error::Invalid { what: format!("--device {}", device.host.display()), why });
        }
        for node in &nodes[before..] {
            rules.push(rule(node.typ(), Some(node.major()), Some(node.minor()), &device.access));
        }
    }
    let (named, allowed) = super::cdi::nodes(&record.tuning.cdi)?;
    nodes.extend(named);
    rules.extend(allowed);
    for DeviceRule { kind, major, minor, access } in &record.tuning.device_rules {
        let kind = match kind {
            'b' => LinuxDeviceType::B,
            'c' => LinuxDeviceType::C,
            _ => LinuxDeviceType::A,
        };
        rules.push(rule(kind, *major, *minor, access));
    }
    Ok((nodes, rules))
}

pub(super) fn rule(kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true).set_typ(Some(kind)).set_major(major).set_minor(minor).set_access(Some(access.to_owned()));
    rule
}

/// Adds what is at `host`, and below it if it is a folder.
fn collect(device: &Device, host: &Path, container: &Path, nodes: &mut Vec<LinuxDevice>) -> Result<(), Error> {
    let what = || format!("--device {}", device.host.display());
    let data = stat(host).call(|| format!("stat({host:?})")).during(what)?;
    let kind = match FileType::from_raw_mode(data.st_mode) {
        FileType::Directory => {
            let mut names: Vec<PathBuf> = std::fs::read_dir(host)
                .and_then(|entries| entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name()))).collect())
                .call(|| format!("readdir({host:?})"))
                .during(what)?;
            names.sort();
            return names.iter().try_for_each(|name| collect(device, &host.join(name), &container.join(name), nodes));
        }
        FileType::CharacterDevice => LinuxDeviceType::C,
        FileType::BlockDevice => LinuxDeviceType::B,
        _ => return Ok(()),
    };
    let mut node = LinuxDevice::default();
    node.set_path(container.to_owned())
        .set_typ(kind)
        .set_major(i64::from(major(data.st_rdev)))
        .set_minor(i64::from(minor(data.st_rdev)))
        .set_file_mode(Some(data.st_mode & 0o7777))
        .set_uid(Some(data.st_uid))
        .set_gid(Some(data.st_gid));
    nodes.push(node);
    Ok(())
}
