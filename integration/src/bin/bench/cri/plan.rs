//! How each daemon is started: the files it reads, its command line, and what its processes are called.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use integration::containerd::{HELPERS, Place};
use integration::registry::mirror_of_docker_hub;

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
    Ok(Plan {
        files: place.files(registry)?,
        program: "containerd".into(),
        args: place.args(),
        socket: place.socket(),
        helpers: HELPERS,
    })
}
