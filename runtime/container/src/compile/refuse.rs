//! Parts of a configuration that a plan cannot express.

use oci_spec::runtime::{Hooks, Spec};

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
    Ok(())
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
