//! A noded of a test's own: its configuration, its start, and what it says to systemd.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use integration::debian::program;
use integration::env::{Env, Running};

use super::PATIENCE;

/// Whether cgroups of pods are systemd's, as `CRI_CGROUPS=systemd` has it where that runs the host.
pub(super) fn by_systemd() -> bool {
    std::env::var_os("CRI_CGROUPS").is_some_and(|word| word == "systemd")
}

/// Leaves out what our own bridge does, where there is none.
pub(crate) fn needs_our_bridge() {
    if std::env::var_os("CRI_NETWORK").is_some() {
        integration::skip!("needs nf_tables: pods have a network of CNI's here (CRI_NETWORK)");
    }
}

/// Writes noded.toml with `more`. Where `CRI_NETWORK` names a configuration of CNI, pods have that network, unless a test brings its own.
pub(super) fn configure(env: &Env, more: &str) {
    let networks = env.path("net.d");
    if let Some(usual) = std::env::var_os("CRI_NETWORK") {
        fs::create_dir_all(&networks).expect("a folder");
        fs::copy(usual, networks.join("90-usual.conflist")).expect("the configuration of a network");
    }
    let driver = if by_systemd() { "systemd" } else { "cgroupfs" };
    let mut text =
        format!("root = {:?}\nrun = {:?}\nbridge = {:?}\ncgroup = {:?}\n", env.root(), env.run(), env.bridge(), env.cgroup());
    // Tables that `more` has are completed, others are added.
    let tables = [
        ("[cri]\n", format!("socket = {:?}\ncgroup_driver = {driver:?}\n", env.run().join("noded/cri.sock"))),
        ("[cni]\n", format!("folder = {networks:?}\n")),
        ("[images]\n", format!("registries = [{:?}]\nlogins = []\n", env.path("registries.conf"))),
    ];
    let mut more = more.to_owned();
    for (title, keys) in tables {
        match more.contains(title) {
            true => more = more.replace(title, &format!("{title}{keys}")),
            false => text += &format!("{title}{keys}"),
        }
    }
    fs::write(env.path("noded.toml"), text + &more).expect("noded.toml");
}

/// `noded VERB` with the configuration of a test.
pub(super) fn command(env: &Env, verb: &str) -> Command {
    let noded = std::env::var_os("NODED").map_or_else(|| program("noded"), |path| Ok(path.into()));
    let mut command = env.command(noded.unwrap_or_else(|error| panic!("{error:#}")));
    command.args([verb, "--config"]).arg(env.path("noded.toml"));
    command
}

/// Starts noded, and waits until it says that it is ready, as systemd does.
pub(super) fn serve(env: &Env, mut command: Command) -> (Running, UnixDatagram) {
    let address = env.run().join("notify");
    let _ = fs::remove_file(&address);
    let manager = UnixDatagram::bind(&address).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    command.env("NOTIFY_SOCKET", &address);
    let mut daemon = Running::start(command);
    match heard(&manager) {
        Ok(word) => assert!(word.starts_with("READY=1"), "{word}"),
        Err(_) if daemon.has_ended() => panic!("noded ended\n{}", daemon.finish()),
        Err(error) => panic!("noded does not say that it is ready: {error}"),
    }
    (daemon, manager)
}

/// What the daemon says to systemd.
pub(super) fn heard(manager: &UnixDatagram) -> std::io::Result<String> {
    let mut buffer = [0; 256];
    let length = manager.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
