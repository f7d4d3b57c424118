//! Labels of security modules. What is asked of one that is not there is an error, not a process without protection.

use launch::Labels;
use oci_spec::runtime::{Process, Spec};

use crate::{Error, Host};

/// The labels of a process.
pub(super) fn labels(process: &Process, host: &Host) -> Result<Labels, Error> {
    // Where there is no AppArmor, everything is unconfined.
    let none = process.apparmor_profile().as_deref() == Some("unconfined") && !host.apparmor;
    let profile = if none { &None } else { process.apparmor_profile() };
    Ok(Labels {
        apparmor: label("process.apparmorProfile", profile, "AppArmor", host.apparmor)?,
        selinux: label("process.selinuxLabel", process.selinux_label(), "SELinux", host.selinux)?,
    })
}

/// `linux.mountLabel`.
pub(super) fn mount_label(spec: &Spec, host: &Host) -> Result<Option<String>, Error> {
    match spec.linux() {
        Some(linux) => label("linux.mountLabel", linux.mount_label(), "SELinux", host.selinux),
        None => Ok(None),
    }
}

fn label(field: &str, text: &Option<String>, module: &str, active: bool) -> Result<Option<String>, Error> {
    match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) if !active => {
            Err(Error::invalid(field, format!("{text:?} is asked for, and {module} is not active on this host")))
        }
        Some(text) if text.contains(['\0', '\n']) => {
            Err(Error::invalid(field, format!("{text:?} contains what cannot be part of a name")))
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}
