//! The daemons that peers need, in a root folder where none runs. They end with the bench: `integration/bench` puts all
//! of it into a pid namespace of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const PATIENCE: Duration = Duration::from_secs(60);

/// A started daemon.
pub(crate) struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw);
        if pid.is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok()) {
            let _ = self.0.wait();
        }
    }
}

/// Starts what `peers` need and waits until each answers.
pub(crate) fn start(peers: &[String]) -> Result<Vec<Daemon>> {
    let mut daemons = Vec::new();
    if peers.iter().any(|peer| peer == "ctr") {
        daemons.push(spawn("containerd", &[], "/run/containerd/containerd.sock", &["ctr", "version"])?);
    }
    if peers.iter().any(|peer| peer == "docker") {
        let flags = ["--exec-opt", "native.cgroupdriver=cgroupfs"];
        daemons.push(spawn("dockerd", &flags, "/var/run/docker.sock", &["docker", "info"])?);
    }
    Ok(daemons)
}

fn spawn(program: &str, flags: &[&str], socket: &str, ask: &[&str]) -> Result<Daemon> {
    let log = format!("/tmp/{program}.log");
    let file = File::create(&log)?;
    let child = Command::new(program)
        .args(flags)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("run {program}"))?;
    let mut daemon = Daemon(child);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ready = Path::new(socket).exists()
            && Command::new(ask[0]).args(&ask[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success();
        if ready {
            return Ok(daemon);
        }
        if daemon.0.try_wait()?.is_some() || Instant::now() > deadline {
            bail!("{program} does not answer:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
