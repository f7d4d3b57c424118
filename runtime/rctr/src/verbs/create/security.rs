//! What the container may do beyond or below the ordinary.

use anyhow::{Context as _, Result, bail};
use engine::{CreateRequest, SecretUse, Security};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Add a capability, such as NET_ADMIN or ALL
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', value_parser = parse::capability)]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',', value_parser = parse::capability)]
    cap_drop: Vec<String>,
    /// Give it all capabilities and devices, and no filter
    #[arg(long)]
    privileged: bool,
    /// no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=disable, systempaths=unconfined, mask=PATH, unmask=ALL|PATH
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Show it a secret: NAME[,type=mount|env][,target=PATH or VARIABLE][,uid=NUMBER][,gid=NUMBER][,mode=OCTAL]
    #[arg(long, value_name = "SECRET", value_parser = parse::secret)]
    secret: Vec<SecretUse>,
    /// Make its root file system read-only
    #[arg(long)]
    read_only: bool,
    /// With that, folders in memory on /run, /tmp and /var/tmp
    #[arg(long, requires = "read_only", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    read_only_tmpfs: Option<bool>,
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
        request.secrets = self.secret;
        if self.read_only_tmpfs == Some(true) {
            for path in ["/run", "/tmp", "/var/tmp"] {
                let mount = parse::tmpfs(&format!("{path}:mode=1777")).map_err(anyhow::Error::msg)?;
                // What the user mounts there stays.
                if !request.mounts.iter().any(|own| own.target == mount.target) {
                    request.mounts.push(mount);
                }
            }
        }
        Ok(())
    }
}

fn security_option(option: &str, security: &mut Security) -> Result<()> {
    let option = option.replacen(':', "=", if option.contains('=') { 0 } else { 1 });
    let (key, value) = option.split_once('=').unwrap_or((&option, ""));
    let paths = || -> Result<Vec<String>> {
        let paths: Vec<String> = value.split(':').map(str::to_owned).collect();
        match paths.iter().find(|path| !(path.starts_with('/') || key == "unmask" && *path == "ALL")) {
            Some(path) => bail!("--security-opt {key}: {path:?} is no absolute path"),
            None => Ok(paths),
        }
    };
    match (key, value) {
        ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
        ("no-new-privileges", "false") => security.no_new_privileges = false,
        ("seccomp", "unconfined") => security.seccomp_unconfined = true,
        ("seccomp", "builtin") => security.seccomp_unconfined = false,
        ("seccomp", file) if !file.is_empty() => {
            let text = std::fs::read_to_string(file).with_context(|| format!("--security-opt seccomp: read {file}"))?;
            security.seccomp_profile = Some(text);
        }
        ("apparmor", profile) if !profile.is_empty() => security.apparmor = Some(profile.to_owned()),
        // Nothing is labelled unless it is asked for.
        ("label", "disable") => {}
        ("systempaths", "unconfined") => security.system_paths = true,
        ("mask", _) => security.masked.extend(paths()?),
        ("unmask", _) => security.unmasked.extend(paths()?),
        _ => bail!(
            "--security-opt {option:?}: there are no-new-privileges, seccomp=FILE|unconfined, apparmor=PROFILE, label=disable, \
             systempaths=unconfined, mask=PATH[:PATH] and unmask=ALL|PATH[:PATH]"
        ),
    }
    Ok(())
}
