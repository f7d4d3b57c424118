//! Bundles and their configuration.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hooks, Process, Spec};
use rustix::fs::CWD;
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, open_tree};
use serde::de::DeserializeOwned;
use sys::Call;
use sys::mount::{Attr, mount_setattr};

use crate::error::{Doing, Failed, Result};
use crate::store::absolute;

/// The newest version of the specification that this program knows.
pub(crate) const VERSION: &str = "1.3.0";

/// A configuration is some 100 KB at most, 10 MB in a test of patience.
const LIMIT: usize = 64 << 20;

/// A bundle, read.
pub(crate) struct Bundle {
    /// Absolute.
    pub(crate) path: PathBuf,
    pub(crate) rootfs: PathBuf,
    pub(crate) spec: Spec,
    /// Taken out of the configuration: the plan has none.
    pub(crate) hooks: Hooks,
    /// What could not be read of the configuration, and does not matter.
    pub(crate) warnings: Vec<String>,
}

/// Reads the bundle at `path`, or the one that is the working folder.
pub(crate) fn bundle(path: Option<&str>) -> Result<Bundle> {
    let path = absolute(Path::new(path.filter(|path| !path.is_empty()).unwrap_or("."))).doing(|| "bundle")?;
    let (mut spec, warnings) = read(&config(&path), container::config::spec)?;
    let root = spec.root().as_ref().ok_or_else(|| Failed::new("config.json: root: missing"))?;
    let rootfs = absolute(&path.join(root.path())).doing(|| "config.json: root.path")?;
    if !rootfs.is_dir() {
        return Err(Failed::new(format!("config.json: root.path: {} is not a folder", rootfs.display())));
    }
    for mount in spec.mounts_mut().iter_mut().flatten() {
        // Relative sources of binds are in the bundle; those of other mounts are only names.
        let options = mount.options().as_deref().unwrap_or_default();
        let bind = mount.typ().as_deref() == Some("bind") || options.iter().any(|option| option == "bind" || option == "rbind");
        if let Some(source) = mount.source().as_ref().filter(|source| bind && source.is_relative()) {
            let source = path.join(source);
            mount.set_source(Some(source));
        }
    }
    let hooks = spec.hooks().clone().unwrap_or_default();
    spec.set_hooks(None);
    Ok(Bundle { path, rootfs, spec, hooks, warnings })
}

fn config(bundle: &Path) -> PathBuf {
    bundle.join("config.json")
}

/// Reads a file of JSON.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read(path, |bytes| serde_json::from_slice(bytes))
}

fn read<T>(path: &Path, parse: impl FnOnce(&[u8]) -> serde_json::Result<T>) -> Result<T> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())
        .call(|| format!("open({path:?})"))
        .map_err(|error| error.about(path))?;
    let bytes = sys::fs::read_all(file, LIMIT).doing_to(path, || format!("{}", path.display()))?;
    parse(&bytes).doing_to(path, || format!("{}", path.display()))
}

/// The process of a bundle's configuration, which `exec` changes by its flags.
pub(crate) fn process(bundle: &Path) -> Result<Process> {
    let (process, _) = read(&config(bundle), container::config::process_within)?;
    process.ok_or_else(|| Failed::new("config.json: process: missing"))
}

/// A process in a file, and what could not be read of it.
pub(crate) fn process_file(path: &Path) -> Result<(Process, Vec<String>)> {
    read(path, container::config::process)
}

/// The root file system as a tree of its own, so that nothing of it is shared with the host.
pub(crate) fn tree(rootfs: &Path, spec: &Spec) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, rootfs, flags).call(|| format!("open_tree({rootfs:?}, {flags:?})"))?;
    let asked = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().clone()).unwrap_or_default();
    // What the host mounts below it comes in, unless the configuration says private; nothing goes out.
    let propagation = match asked.trim_start_matches('r') {
        "private" | "unbindable" => MountPropagationFlags::PRIVATE,
        _ => MountPropagationFlags::DOWNSTREAM,
    };
    mount_setattr(&tree, Attr { propagation: u64::from(propagation.bits()), ..Attr::default() }, true)?;
    Ok(tree)
}
