//! SELinux: labels of containers are not served. Where the host has none, they mean nothing; where it has, leaving them out would be a hole.

use std::path::Path;

use cri::SeLinuxOption;
use tonic::Status;

use crate::cri::Answer;

/// Where the kernel shows SELinux when it is on.
const ON: &str = "/sys/fs/selinux/enforce";

/// Refuses a label on a host with SELinux.
pub(super) fn refuse(option: Option<&SeLinuxOption>, relabel: bool) -> Answer<()> {
    refused(option, relabel, Path::new(ON).exists())
}

fn refused(option: Option<&SeLinuxOption>, relabel: bool, on: bool) -> Answer<()> {
    let asked = option.is_some_and(|option| *option != SeLinuxOption::default());
    match on && (asked || relabel) {
        true => Err(Status::failed_precondition("selinux_options: labels of SELinux are not supported, and this host has SELinux")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_mean_nothing_without_selinux() {
        let label = SeLinuxOption { level: "s0:c1,c2".to_owned(), ..SeLinuxOption::default() };
        assert!(refused(Some(&label), true, false).is_ok());
        assert!(refused(Some(&label), false, true).is_err() && refused(None, true, true).is_err());
        assert!(refused(Some(&SeLinuxOption::default()), false, true).is_ok() && refused(None, false, true).is_ok());
    }
}
