//! A node of a lab.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::plane::noded;
use super::{BUSYBOX, Logind, Wires};
use crate::env::{Env, PATIENCE, Running, within, world};
use crate::leaks;

/// A node: a world of processes, of which noded is one.
#[derive(Debug)]
pub struct Node {
    /// Its name in the cluster.
    pub name: &'static str,
    /// Its number in the network.
    pub number: usize,
    folder: PathBuf,
    /// How it joins the first time. Later the token and the hash are nothing new.
    invitation: Vec<String>,
    run: PathBuf,
    namespace: String,
    cgroup: String,
    path: std::ffi::OsString,
    world: Option<Running>,
    noded: Option<Running>,
    logind: Option<Logind>,
}

/// How long the logind of a node waits for locks.
const LONGEST: Duration = Duration::from_secs(40);

impl Node {
    /// A node that has its image and its configuration, and is off.
    pub(super) fn make(
        env: &Env,
        wires: &Wires,
        name: &'static str,
        number: usize,
        invitation: Vec<String>,
        network: &str,
    ) -> Node {
        let (folder, run) = (env.path(name), env.run().join(name));
        let cgroup = format!("{}_{number}", wires.prefix().replace('-', "_"));
        fs::create_dir_all(folder.join("root")).expect("a folder");
        fs::create_dir_all(&run).expect("a folder");
        let text = format!(
            "root = {:?}\nrun = {run:?}\nbridge = \"rctr0\"\ncgroup = \"/rctr_{cgroup}\"\n\
             [cri]\nsocket = {:?}\n[images]\nregistries = [{:?}]\nlogins = []\n\
             [agent]\nname = {name:?}\nfolder = {:?}\ncgroup = \"/kubepods_{cgroup}\"\nlogs = {:?}\nstatic_pods = {:?}\n\
             reserve_memory = 0\nreserve_disk = 0\nreserve_inodes = 0\n[network]\n{network}\n",
            folder.join("root"),
            run.join("cri.sock"),
            env.path("registries.conf"),
            folder.join("agent"),
            folder.join("logs"),
            folder.join("manifests"),
        );
        fs::write(folder.join("noded.toml"), text).expect("noded.toml");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let node = Node {
            name,
            number,
            folder,
            invitation,
            run,
            namespace: wires.namespace(number),
            cgroup,
            path,
            world: None,
            noded: None,
            logind: None,
        };
        node.pull(env, BUSYBOX);
        node
    }

    /// Gives it an image. The registry is on the loopback interface of the host, where the node itself cannot reach it.
    ///
    /// # Panics
    /// When there is no such image.
    pub fn pull(&self, env: &Env, image: &str) {
        let mut pull = env.rctr_command(["pull", "-q", image]);
        pull.env("RCTR_ROOT", self.folder.join("root")).env("RCTR_RUN", &self.run);
        Running::start(pull).finish().ok();
    }

    /// Starts its world, and noded in it.
    ///
    /// # Panics
    /// When the kernel has no such world.
    pub fn power_on(&mut self) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace));
        // The shell takes the ends of orphans, as an init does.
        command.args(["--", "unshare", "--pid", "--mount", "--fork", "--kill-child=KILL", "--mount-proc", "bash", "-c"]);
        command.arg("echo on; while :; do sleep 1000 & wait $!; done").env_clear().env("PATH", &self.path);
        let mut world = Running::start(command);
        world.wait_for("on");
        self.world = Some(world);
        self.logind = Some(Logind::start(&self.bus(), LONGEST));
        self.begin();
    }

    fn bus(&self) -> PathBuf {
        self.run.join("bus")
    }

    /// What announces its shutdowns.
    ///
    /// # Panics
    /// When it is off.
    #[must_use]
    pub fn logind(&self) -> &Logind {
        self.logind.as_ref().expect("a node that is on")
    }

    /// Starts noded.
    ///
    /// # Panics
    /// When the node is off.
    pub fn begin(&mut self) {
        let mut command = self.inside(&noded());
        command.args(["run", "--config"]).arg(self.folder.join("noded.toml")).args(&self.invitation);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", self.bus().display()));
        self.noded = Some(Running::start(command));
    }

    /// A command in its world.
    ///
    /// # Panics
    /// When it is off.
    #[must_use]
    pub fn inside(&self, program: &Path) -> Command {
        let world = self.world.as_ref().expect("a node that is on").pid();
        let mut first = None;
        assert!(within(PATIENCE, || {
            first = child(world);
            first.is_some()
        }));
        let mut command = Command::new("nsenter");
        command.args(["--net", "--pid", "--mount", "--target", &first.expect("found").to_string(), "--"]).arg(program);
        command.env_clear().env("PATH", &self.path).current_dir(&self.folder);
        command
    }

    /// `rctr ARGS` on this node.
    pub fn rctr(&self, args: &[&str]) -> crate::output::Output {
        let mut command = self.inside(&world().rctr);
        command.args(args).env("RCTR_ROOT", self.folder.join("root")).env("RCTR_RUN", &self.run).env("RCTR_BRIDGE", "rctr0");
        Running::start(command).finish()
    }

    /// The pods that its engine has.
    #[must_use]
    pub fn pods(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("root/pods")).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Its routes, as `ip` shows them.
    #[must_use]
    pub fn routes(&self) -> String {
        let mut command = self.inside(Path::new("ip"));
        command.args(["-4", "route"]);
        Running::start(command).finish().stdout
    }

    /// Pulls the plug: every process of it is gone at once. What is on its disk stays, and its memory is lost.
    ///
    /// # Panics
    /// When it is off.
    pub fn power_off(&mut self) {
        self.world.take().expect("a node that is on").kill();
        if let Some(noded) = self.noded.take() {
            noded.kill();
        }
        for entry in fs::read_dir(&self.run).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(entry.path());
            let _ = fs::remove_file(entry.path());
        }
    }

    /// Kills noded alone with SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let noded = self.noded.take().expect("a noded that runs");
        let pid = self.pid_of(&noded).and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        noded.kill();
    }

    /// The process of noded.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.noded.as_ref().and_then(|noded| self.pid_of(noded))
    }

    fn pid_of(&self, noded: &Running) -> Option<u32> {
        child(noded.pid())
    }

    /// What noded has said.
    #[must_use]
    pub fn said(&self) -> String {
        self.noded.as_ref().map(Running::said).unwrap_or_default()
    }
}

/// The first child of a process.
fn child(pid: u32) -> Option<u32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?.split_whitespace().next()?.parse().ok()
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.world.is_some() {
            self.power_off();
        }
        for cgroup in ["kubepods_", "rctr_"].map(|kind| format!("{kind}{}", self.cgroup)) {
            // The last of its processes are on their way out.
            within(Duration::from_secs(10), || {
                leaks::clear_caller(&[&self.folder], &cgroup);
                !leaks::has_cgroup(&cgroup)
            });
        }
    }
}
