//! containerd as a server of CRI: the files that it reads, so that nothing of it is shared with another one on the host.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::json;

use crate::catalog;
use crate::layer::Compression;
use crate::oci::{Bundle, Format, Image};

/// What its sandboxes run, since it has no sandbox without a process: an image of the registry that it is given.
pub const SANDBOX: &str = "library/pause:latest";

/// That image: something small that sleeps.
///
/// # Errors
/// When there is no busybox to make it of.
pub fn sandbox() -> Result<Bundle> {
    let config = json!({"Cmd": ["/bin/sleep", "1000000"]});
    Ok(Image::new(Format::Oci, vec![catalog::busybox(Compression::Gzip)?], config).bundle())
}

/// The names (`comm`, proc_pid_comm(5)) of the processes that it keeps beside those of containers.
pub const HELPERS: &[&str] = &["containerd", "containerd-shim"];

/// What belongs to one daemon alone.
#[derive(Debug, Clone)]
pub struct Place {
    /// State on disk, and all that it reads.
    pub folder: PathBuf,
    /// State that a reboot clears, and sockets.
    pub run: PathBuf,
    /// The bridge of its pods.
    pub bridge: String,
    /// The parent of all cgroups, without a slash.
    pub cgroup: String,
    /// Seconds from one look at the disk to the next; containerd's own number is 10.
    pub looks: u32,
}

impl Place {
    /// Where it serves.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// Its words on the command line.
    #[must_use]
    pub fn args(&self) -> Vec<String> {
        vec!["--config".to_owned(), self.folder.join("config.toml").display().to_string()]
    }

    /// The files below the folder, and what is in them. Docker Hub's names are served by the registry at `registry`, and so are its own.
    ///
    /// # Errors
    /// When there are no CNI plugins to make its network with.
    pub fn files(&self, registry: &str) -> Result<Vec<(String, String)>> {
        let mirror = format!("[host.\"http://{registry}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
        Ok(vec![
            ("config.toml".to_owned(), self.configuration(registry)?),
            ("net.d/10-bridge.conflist".to_owned(), self.network()),
            (format!("certs.d/{registry}/hosts.toml"), format!("server = \"http://{registry}\"\n")),
            ("certs.d/docker.io/hosts.toml".to_owned(), format!("server = \"http://{registry}\"\n{mirror}")),
        ])
    }

    fn configuration(&self, registry: &str) -> Result<String> {
        let folder = |name: &str| self.folder.join(name);
        Ok(format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n\
             [grpc]\naddress = {:?}\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n\
             [plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{registry}/{SANDBOX}\"\nrestrict_oom_score_adj = true\n\
             netns_mounts_under_state_dir = true\ntolerate_missing_hugetlb_controller = true\nstats_collect_period = {}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {:?}\nconf_dir = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = {:?}\n",
            folder("root"),
            self.run.join("state"),
            self.socket(),
            folder("opt"),
            self.looks,
            plugins()?,
            folder("net.d"),
            folder("certs.d"),
        ))
    }

    /// A bridge with masquerading and host ports, as containerd's own set-up writes it.
    fn network(&self) -> String {
        let bridge = json!({
            "type": "bridge", "bridge": self.bridge, "isGateway": true, "ipMasq": true,
            "ipam": {
                "type": "host-local", "dataDir": self.folder.join("addresses"),
                "ranges": [[{"subnet": "10.241.0.0/20"}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        });
        let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
        json!({"cniVersion": "1.0.0", "name": self.bridge, "plugins": [bridge, ports]}).to_string()
    }
}

/// Where the CNI plugins are that the network is made with.
fn plugins() -> Result<PathBuf> {
    let all = |folder: &PathBuf| ["bridge", "host-local", "portmap", "loopback"].iter().all(|name| folder.join(name).is_file());
    let folders = ["/usr/lib/cni", "/opt/cni/bin"].map(PathBuf::from);
    folders.into_iter().find(all).context("no CNI plugins in /usr/lib/cni or /opt/cni/bin (package containernetworking-plugins)")
}
