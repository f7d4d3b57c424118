//! What every verb may need, read from the environment once and opened when first used.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::{Config, Engine};

use crate::cli::Global;
use crate::contexts;
use crate::rootless;
use crate::settings::Settings;

/// The command line's surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    global: Global,
    /// Whether registries need certificates.
    tls: Tls,
}

/// How far registries are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub(crate) struct Tls {
    /// Reach registries only with certificates that somebody vouches for
    #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true,
        action = clap::ArgAction::Set)]
    tls_verify: bool,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Context { global, tls: Tls { tls_verify: true } }
    }

    /// What `--context` says.
    pub(crate) fn named(&self) -> Option<&str> {
        self.global.context.as_deref()
    }

    /// The engine below the global folders.
    ///
    /// # Errors
    /// The caller is not root: better said at once than by the first system call that is refused.
    pub(crate) fn engine(&self) -> Result<Engine> {
        if !rustix::process::geteuid().is_root() {
            bail!("containers need root: run this with sudo");
        }
        Ok(Engine::open(self.config()?)?)
    }

    /// The same with the cgroup of this process as the one of monitors and containers, which is returned, too.
    ///
    /// # Errors
    /// It cannot be that.
    pub(crate) fn engine_split(&self) -> Result<(Engine, String)> {
        if !rustix::process::geteuid().is_root() {
            bail!("containers need root: run this with sudo");
        }
        let mut config = self.config()?;
        config.split().context("--cgroups split")?;
        let cgroup = config.cgroup.clone();
        Ok((Engine::open(config)?, cgroup))
    }

    /// The folder of sockets.
    pub(crate) fn run_folder(&self) -> Result<PathBuf> {
        absolute(&self.global.run)
    }

    /// Where images and containers are kept.
    pub(crate) fn root(&self) -> Result<PathBuf> {
        absolute(&self.global.root)
    }

    fn config(&self) -> Result<Config> {
        let (global, settings) = (&self.global, Settings::load()?);
        let own = env::current_exe().context("find this program")?;
        let (root, run) = (self.root()?, absolute(&global.run)?);
        let home = rootless::inside(&run)?;
        // That of a container that is started again, too.
        let delegated = home.as_ref().filter(|_| global.usual.cgroup).and_then(|home| home.accounts.cgroup.as_ref());
        let cgroup = delegated.unwrap_or(&global.cgroup_parent);
        Ok(Config {
            starter: starter(&own, &root, &run, &global.bridge, cgroup),
            root,
            run,
            bridge: global.bridge.clone(),
            cgroup: cgroup.clone(),
            monitor: Config::program(&own, "rctr-monitor"),
            resolv_conf: Config::host_resolvers(),
            own_resolv_conf: PathBuf::from("/etc/resolv.conf"),
            publish_on: settings.publish_on()?,
            cni: None,
            home,
            storage: match global.storage_driver {
                Some(driver) => driver,
                None => settings.driver()?,
            },
        })
    }

    /// Where to pull from and with whose credentials.
    pub(crate) fn pull_options(&self, platform: Option<images::Platform>) -> Result<images::PullOptions> {
        let registries = self.registries()?;
        let credentials = images::Credentials::load(&credential_files())?;
        let (policy, keep_blobs) = (policy()?, self.global.keep_blobs);
        Ok(images::PullOptions { platform, registries, credentials, policy, keep_blobs, ..Default::default() })
    }

    /// Where registries are, and how to reach them.
    pub(crate) fn registries(&self) -> Result<images::Registries> {
        let registries = images::Registries::load(&registry_files())?.with_docker(Path::new("/etc/docker/daemon.json"))?;
        let registries = registries.with_folders(certificate_folders()).with_proxies(proxies());
        Ok(if self.tls.tls_verify { registries } else { registries.insecure() })
    }

    /// The same with registries that are trusted as far as is said.
    pub(crate) fn trusting(&self, tls: Tls) -> Context {
        Context { global: self.global.clone(), tls }
    }

    /// Where to push to and with whose credentials.
    pub(crate) fn push_options(&self, platform: Option<images::Platform>) -> Result<images::PushOptions> {
        let images::PullOptions { registries, credentials, .. } = self.pull_options(None)?;
        Ok(images::PushOptions { registries, credentials, platform, ..Default::default() })
    }
}

/// `path` from the root folder, without requiring that it exists.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("find the folder {}", path.display()))
}

/// Another program of this project: beside this one, else where packages put it.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    Ok(Config::program(&env::current_exe().context("find this program")?, name))
}

/// The command that starts a container of these folders again; its id follows. Nothing of the environment is left when it is called.
/// A path that is no text cannot be passed on: then no container is started again.
fn starter(own: &Path, root: &Path, run: &Path, bridge: &str, cgroup: &str) -> Vec<String> {
    let (Some(own), Some(root), Some(run)) = (own.to_str(), root.to_str(), run.to_str()) else { return Vec::new() };
    let words = [own, "--context", contexts::DEFAULT, "--root", root, "--run", run, "--bridge", bridge, "--cgroup-parent", cgroup];
    words.iter().chain(&["boot", "--again"]).map(|word| (*word).to_owned()).collect()
}

/// `CONTAINERS_REGISTRIES_CONF` replaces the host's file, as it does for Podman; rctr's own file comes last and wins.
fn registry_files() -> Vec<PathBuf> {
    let own = |file: &str| rootless::config_folder().map(|folder| folder.join(file));
    let mut files = match env::var_os("CONTAINERS_REGISTRIES_CONF") {
        Some(instead) => vec![PathBuf::from(instead)],
        // An ordinary user's own comes after the host's.
        None => [PathBuf::from("/etc/containers/registries.conf")].into_iter().chain(own("containers/registries.conf")).collect(),
    };
    files.push(PathBuf::from("/etc/rctr/registries.conf"));
    files.extend(own("rctr/registries.conf"));
    files
}

/// Folders with certificates of registries, Docker's, Podman's and containerd's; the last ones have `hosts.toml` too.
fn certificate_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["docker", "containers", "containerd"].iter().map(|of| Path::new("/etc").join(of).join("certs.d")).collect();
    folders.extend(env::home_dir().map(|home| home.join(".config/containers/certs.d")));
    folders
}

/// Proxies, under the names that curl reads them by.
pub(crate) fn proxies() -> images::Proxies {
    images::Proxies::named(|name| env::var(name).ok())
}

/// Where a login is kept: where it is looked for first.
///
/// # Errors
/// There is no home.
pub(crate) fn login_file() -> Result<PathBuf> {
    let own = env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let docker = || env::var_os("DOCKER_CONFIG").map(|folder| PathBuf::from(folder).join("config.json"));
    let home = || env::home_dir().map(|home| home.join(".docker/config.json"));
    own.or_else(docker).or_else(home).context("no place to keep a login: set HOME or DOCKER_CONFIG")
}

/// Which images this host lets in: the user's file, or else the host's.
pub(crate) fn policy() -> Result<images::Policy> {
    let own = env::home_dir().map(|home| home.join(".config/containers/policy.json"));
    let files: Vec<PathBuf> = own.into_iter().chain([PathBuf::from("/etc/containers/policy.json")]).collect();
    Ok(images::Policy::load(&files)?)
}

/// Docker's and Podman's files, most specific first.
fn credential_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    files.extend(env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from));
    files.extend(env::var_os("DOCKER_CONFIG").map(|folder| PathBuf::from(folder).join("config.json")));
    files.extend(env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("containers/auth.json")));
    if let Some(home) = env::home_dir() {
        files.push(home.join(".docker/config.json"));
        files.push(home.join(".config/containers/auth.json"));
    }
    files
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    /// A monitor starts its container again without an environment, and on its own host whatever context is in use.
    #[test]
    fn a_container_is_started_again_on_this_host() {
        let global = Cli::parse_from(["rctr", "--bridge", "b0", "ps"]).global;
        let words = starter(Path::new("/bin/rctr"), Path::new("/root"), Path::new("/run"), &global.bridge, "/c");
        assert_eq!(words[..3], ["/bin/rctr", "--context", "default"]);
        let cli = Cli::parse_from(words.iter().map(String::as_str).chain(["id"]));
        assert!(cli.elsewhere().unwrap().is_none());
    }
}
