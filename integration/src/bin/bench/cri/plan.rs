//! How each daemon is started: the files it reads, its command line, and what its processes are called.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use integration::registry::mirror_of_docker_hub;
use serde_json::json;

use super::SANDBOX;

/// What belongs to one daemon alone.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// State on disk, and all that it reads.
    pub(super) folder: PathBuf,
    /// State that a reboot clears, and sockets.
    pub(super) run: PathBuf,
    pub(super) bridge: String,
    /// The parent of all cgroups, without a slash.
    pub(super) cgroup: String,
}

/// A daemon to be started.
#[derive(Debug)]
pub(super) struct Plan {
    /// Files below the folder, and what is in them.
    pub(super) files: Vec<(String, String)>,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) socket: PathBuf,
    /// The names (`comm`, proc_pid_comm(5)) of the processes that it keeps beside those of containers.
    pub(super) helpers: &'static [&'static str],
}

/// The plan of `who`, whose images come from the registry at `registry`.
pub(super) fn plan(who: &str, ours: &Path, place: &Place, registry: &str) -> Result<Plan> {
    match who {
        "ours" => Ok(noded(ours, place, registry)),
        "containerd" => containerd(place, registry),
        other => bail!("{other} does not serve CRI"),
    }
}

fn noded(ours: &Path, place: &Place, registry: &str) -> Plan {
    let (root, registries, socket) =
        (place.folder.join("root"), place.folder.join("registries.conf"), place.run.join("noded/cri.sock"));
    let config = format!(
        "root = {root:?}\nrun = {:?}\nbridge = {:?}\ncgroup = \"/{}\"\n\
         [cni]\nfolder = \"\"\n[cri]\nsocket = {socket:?}\npod_cidr = \"10.240.0.0/20\"\n\
         [images]\nregistries = [{registries:?}]\nlogins = []\n",
        place.run, place.bridge, place.cgroup
    );
    let file = place.folder.join("noded.toml").display().to_string();
    Plan {
        files: vec![("noded.toml".to_owned(), config), ("registries.conf".to_owned(), mirror_of_docker_hub(registry))],
        program: ours.join("noded"),
        args: ["run", "--config", &file].map(str::to_owned).to_vec(),
        socket,
        helpers: &["noded", "rctr-monitor"],
    }
}

fn containerd(place: &Place, registry: &str) -> Result<Plan> {
    let socket = place.run.join("containerd.sock");
    let folder = |name: &str| place.folder.join(name);
    let config = format!(
        "version = 2\nroot = {:?}\nstate = {:?}\n\
         [grpc]\naddress = {socket:?}\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n\
         [plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{registry}/{SANDBOX}\"\nrestrict_oom_score_adj = true\n\
         netns_mounts_under_state_dir = true\ntolerate_missing_hugetlb_controller = true\n\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {:?}\nconf_dir = {:?}\n\
         [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = {:?}\n",
        folder("root"),
        place.run.join("state"),
        folder("opt"),
        plugins()?,
        folder("net.d"),
        folder("certs.d"),
    );
    Ok(Plan {
        files: vec![
            ("config.toml".to_owned(), config),
            ("net.d/10-bridge.conflist".to_owned(), network(place)),
            (format!("certs.d/{registry}/hosts.toml"), format!("server = \"http://{registry}\"\n")),
        ],
        program: "containerd".into(),
        args: vec!["--config".to_owned(), folder("config.toml").display().to_string()],
        socket,
        helpers: &["containerd", "containerd-shim"],
    })
}

/// A bridge with masquerading and host ports, as containerd's own set-up writes it.
fn network(place: &Place) -> String {
    let bridge = json!({
        "type": "bridge", "bridge": place.bridge, "isGateway": true, "ipMasq": true,
        "ipam": {
            "type": "host-local", "dataDir": place.folder.join("addresses"),
            "ranges": [[{"subnet": "10.241.0.0/20"}]], "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
    json!({"cniVersion": "1.0.0", "name": place.bridge, "plugins": [bridge, ports]}).to_string()
}

/// Where the CNI plugins are that the network is made with.
fn plugins() -> Result<PathBuf> {
    let all = |folder: &PathBuf| ["bridge", "host-local", "portmap", "loopback"].iter().all(|name| folder.join(name).is_file());
    let folders = ["/usr/lib/cni", "/opt/cni/bin"].map(PathBuf::from);
    folders.into_iter().find(all).context("no CNI plugins in /usr/lib/cni or /opt/cni/bin (package containernetworking-plugins)")
}
