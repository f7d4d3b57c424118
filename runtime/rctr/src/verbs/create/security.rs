//! What the container may do beyond or below the ordinary.

use anyhow::{Result, bail};
use engine::{CreateRequest, Security};

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Add a capability, such as NET_ADMIN or ALL
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_drop: Vec<String>,
    /// Give it all capabilities and devices, and no filter
    #[arg(long)]
    privileged: bool,
    /// no-new-privileges, or seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Make its root file system read-only
    #[arg(long)]
    read_only: bool,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        let mut security = Security {
            cap_add: self.cap_add,
            cap_drop: self.cap_drop,
            privileged: self.privileged,
            readonly_rootfs: self.read_only,
            ..Security::default()
        };
        for option in &self.security_opt {
            security_option(option, &mut security)?;
        }
        request.security = security;
        Ok(())
    }
}

fn security_option(option: &str, security: &mut Security) -> Result<()> {
    match option.replacen(':', "=", 1).as_str() {
        "no-new-privileges" | "no-new-privileges=true" => security.no_new_privileges = true,
        "no-new-privileges=false" => security.no_new_privileges = false,
        "seccomp=unconfined" => security.seccomp_unconfined = true,
        _ => bail!("--security-opt {option:?}: only no-new-privileges and seccomp=unconfined are supported"),
    }
    Ok(())
}
