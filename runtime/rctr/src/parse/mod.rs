//! Words of the command line as values. Each parser's error says what form is accepted.

mod device;
mod env;
mod isolation;
mod life;
mod moment;
mod mount;
mod network;
mod port;
mod process;
mod prune;
mod secret;
mod size;
mod users;
mod words;

pub(crate) use device::{Wanted, device, gpus};
pub(crate) use env::{callers, environment, label, merged_variable, variable};
pub(crate) use isolation::{device_rule, ipc, own_or_host, sharing, sysctl, ulimit};
pub(crate) use life::{duration, policy};
pub(crate) use moment::moment;
pub(crate) use mount::{mount, tmpfs, volume, volumes_from};
pub(crate) use network::{Network, alias, ip, ip6, mac, network};
pub(crate) use port::{exposed, ports};
pub(crate) use process::{rootfs, timezone, umask};
pub(crate) use prune::{PruneFilter, prune_filter};
pub(crate) use secret::secret;
pub(crate) use size::{bytes, bytes_or_none, cpus, disk, grace, list, seconds};
pub(crate) use users::{Wish, id_map, pool, users};
pub(crate) use words::{capability, container_name, group, host_name, user, workdir};

/// A signal by name or number.
pub(crate) fn signal(text: &str) -> Result<i32, String> {
    engine::parse_signal(text).map_err(|error| error.to_string())
}
