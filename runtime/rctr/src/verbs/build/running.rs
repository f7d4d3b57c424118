//! What `RUN` has, and may use.

use engine::build::Running;
use engine::{HostEntry, Ulimit};

use crate::parse;
use crate::verbs::create::limits::Limits;
use crate::verbs::create::names;

#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
    /// A line of /etc/hosts: NAME:ADDRESS, or NAME:host-gateway for this host
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = names::entry)]
    add_host: Vec<HostEntry>,
    /// Limit of processes: NAME=SOFT[:HARD], such as nofile=1024:4096
    #[arg(long, value_name = "LIMIT", value_parser = parse::ulimit)]
    ulimit: Vec<Ulimit>,
    /// Size of /dev/shm, such as 128m
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    shm_size: Option<i64>,
    /// The cgroup above its own, such as /builds
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

impl Args {
    pub(super) fn running(&self) -> Running {
        Running {
            hosts: self.add_host.clone(),
            ulimits: self.ulimit.clone(),
            shm_size: self.shm_size.and_then(|bytes| u64::try_from(bytes).ok()),
            resources: self.limits.clone().resources(),
            cgroup_parent: self.cgroup_parent.clone(),
        }
    }
}

/// Flags of other builders that this one has nothing for: better said than passed over.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(crate) struct Refused {
    #[arg(long, value_name = "KIND", hide = true, value_parser = attestation)]
    attest: Vec<String>,
    #[arg(long, value_name = "MODE", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = attestation)]
    provenance: Option<String>,
    #[arg(long, value_name = "MODE", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = attestation)]
    sbom: Option<String>,
    #[arg(long, value_name = "NAME", hide = true, value_parser = builder)]
    builder: Option<String>,
    #[arg(long, value_name = "BOOL", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = gone)]
    rm: Option<String>,
    #[arg(long, hide = true, num_args = 0, default_missing_value = "true", value_parser = gone)]
    force_rm: Option<String>,
}

fn attestation(text: &str) -> Result<String, String> {
    match text {
        "false" => Ok(text.to_owned()),
        _ => Err("attestations are not made: only false is understood".to_owned()),
    }
}

fn builder(text: &str) -> Result<String, String> {
    match text {
        "default" => Ok(text.to_owned()),
        _ => Err("there is one builder, default".to_owned()),
    }
}

fn gone(text: &str) -> Result<String, String> {
    match text {
        "true" => Ok(text.to_owned()),
        _ => Err("containers of steps never stay".to_owned()),
    }
}
