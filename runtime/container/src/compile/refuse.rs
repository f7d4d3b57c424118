//! Parts of a configuration that a plan cannot express.

use oci_spec::runtime::{Hooks, Linux, Spec};

use crate::Error;

/// Refuses what would have to be ignored.
pub(super) fn spec(spec: &Spec) -> Result<(), Error> {
    if spec.version().split('.').next() != Some("1") {
        return Err(Error::invalid("ociVersion", format!("{:?} is not a version 1", spec.version())));
    }
    let hooks = spec.hooks().as_ref();
    for (present, field, what) in [
        (hooks.is_some_and(any_hook), "hooks", "hooks are"),
        (spec.vm().is_some(), "vm", "virtual machines are"),
        (spec.windows().is_some(), "windows", "Windows is"),
        (spec.solaris().is_some(), "solaris", "Solaris is"),
        (spec.zos().is_some(), "zos", "z/OS is"),
    ] {
        if present {
            return Err(Error::unsupported(field, what));
        }
    }
    spec.linux().as_ref().map_or(Ok(()), linux)
}

fn any_hook(hooks: &Hooks) -> bool {
    let all = [
        hooks.prestart(),
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    all.iter().any(|hooks| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()))
}

fn linux(linux: &Linux) -> Result<(), Error> {
    let mapped = |mappings: &Option<Vec<_>>| mappings.as_ref().is_some_and(|mappings| !mappings.is_empty());
    for (present, field, what) in [
        (mapped(linux.uid_mappings()), "linux.uidMappings", "user namespaces are"),
        (mapped(linux.gid_mappings()), "linux.gidMappings", "user namespaces are"),
        (linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices", "moving network devices is"),
        (linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty()), "linux.timeOffsets", "time namespaces are"),
    ] {
        if present {
            return Err(Error::unsupported(field, what));
        }
    }
    Ok(())
}
