//! Rules about devices that every container has, as with runc: nothing but what the configuration allows, and then what any program
//! may expect (runtime-spec, "Default Devices"), which nothing takes away.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

/// Character devices by number; `None` is any.
const DEFAULT: [(Option<i64>, Option<i64>); 9] = [
    (Some(1), Some(3)),
    (Some(1), Some(5)),
    (Some(1), Some(7)),
    (Some(1), Some(8)),
    (Some(1), Some(9)),
    (Some(5), Some(0)),
    (Some(5), Some(1)),
    (Some(5), Some(2)),
    // Terminals.
    (Some(136), None),
];

/// The limits with these rules.
pub(crate) fn with_defaults(resources: Option<&LinuxResources>) -> LinuxResources {
    let mut all = resources.cloned().unwrap_or_default();
    let mut rules = vec![rule(false, LinuxDeviceType::A, None, None, "rwm")];
    if let Some(asked) = resources.and_then(|resources| resources.devices().as_ref()) {
        rules.extend(asked.iter().cloned());
    }
    // A node may be made; it is of no use without the right to open it.
    rules.push(rule(true, LinuxDeviceType::C, None, None, "m"));
    rules.push(rule(true, LinuxDeviceType::B, None, None, "m"));
    rules.extend(DEFAULT.map(|(major, minor)| rule(true, LinuxDeviceType::C, major, minor, "rwm")));
    all.set_devices(Some(rules));
    all
}

fn rule(allow: bool, kind: LinuxDeviceType, major: Option<i64>, minor: Option<i64>, access: &str) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_typ(Some(kind));
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}
