//! Hidden and read-only paths.

use std::path::Path;

use launch::Step;
use oci_spec::runtime::Linux;

use super::{Build, mounts};
use crate::Error;

/// Compiles `linux.readonlyPaths`, then `linux.maskedPaths`: a masked path below a read-only one stays masked.
pub(super) fn masks(linux: &Linux, build: &mut Build) -> Result<(), Error> {
    for (at, path) in linux.readonly_paths().iter().flatten().enumerate() {
        let path = mounts::absolute(Path::new(path), &format!("linux.readonlyPaths[{at}]"))?;
        build.steps.push(Step::Readonly(path));
    }
    for (at, path) in linux.masked_paths().iter().flatten().enumerate() {
        let path = mounts::absolute(Path::new(path), &format!("linux.maskedPaths[{at}]"))?;
        build.steps.push(Step::Mask(path));
    }
    Ok(())
}
