//! What lives only as long as one run: the folder on a tmpfs that says so, and the files in it.

use std::fs;
use std::path::{Path, PathBuf};

use sys::Call;
use sys::fs::open_dir;

use crate::config::Config;
use crate::create::folder;
use crate::error::During;
use crate::request::NetworkMode;
use crate::spec::files;
use crate::{Error, NetworkState, Record};

/// The runtime folder: the first thing a start makes and the last that is removed, so that its presence means that something may be
/// left.
pub(crate) struct Runtime {
    pub(crate) path: PathBuf,
    kept: bool,
}

impl Runtime {
    pub(crate) fn make(config: &Config, id: &str) -> Result<Runtime, Error> {
        let path = config.runtime(id);
        folder(&path).during(|| format!("make the folder {}", path.display()))?;
        Ok(Runtime { path, kept: false })
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let (false, Some(parent), Some(name)) = (self.kept, self.path.parent(), self.path.file_name()) {
            let _ = open_dir(parent).and_then(|parent| sys::fs::remove_tree(parent, name));
        }
    }
}

/// The name files, and the network's state for readers. All are on a tmpfs and made anew at each start.
pub(crate) fn write_files(config: &Config, record: &Record, network: Option<&NetworkState>, runtime: &Path) -> Result<(), Error> {
    let own = network.map(|network| (network.address, record.hostname.as_str()));
    let host_resolver = fs::read_to_string(&config.resolv_conf).unwrap_or_default();
    let write = |name: &str, text: String| {
        let path = runtime.join(name);
        fs::write(&path, text)
            .call(|| format!("write({path:?})"))
            .during(|| format!("make /etc/{name} of container {}", record.name))
    };
    let hosts = match record.network {
        NetworkMode::Host => fs::read_to_string("/etc/hosts").unwrap_or_else(|_| files::hosts(None)),
        _ => files::hosts(own),
    };
    write("hosts", hosts)?;
    write("resolv.conf", files::resolv_conf(&host_resolver, record.network != NetworkMode::Host))?;
    write("hostname", format!("{}\n", record.hostname))?;
    if let Some(network) = network {
        write("network.json", serde_json::to_string(network).unwrap_or_default())?;
    }
    Ok(())
}
