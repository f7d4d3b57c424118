//! A containerd of a test's own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use integration::containerd::{Place, SANDBOX, sandbox};
use integration::env::{Env, world};
use integration::leaks;
use rustix::process::{Pid, Signal, kill_process};

/// It ends with this, and all that it has made.
#[derive(Debug)]
pub(super) struct Containerd {
    daemon: Child,
    place: Place,
}

impl Containerd {
    /// Starts it with its state in the folders of `env`. It may not answer yet.
    pub(super) fn start(env: &Env) -> Containerd {
        if !integration::debian::is_installed("containerd") {
            integration::skip!("needs containerd");
        }
        push_sandbox();
        let cgroup = env.cgroup().trim_start_matches('/').to_owned();
        // not the name of the one of rctr, which is looked at for what is left
        let bridge = format!("c{}", env.bridge());
        let place = Place { folder: env.path("containerd"), run: env.run().join("c"), bridge, cgroup, looks: 1 };
        let files = place.files(&world().registry.address).unwrap_or_else(|error| integration::skip!("{error:#}"));
        for (name, text) in files {
            let path = place.folder.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let log = File::create(place.folder.join("log")).expect("a log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "containerd"]).args(place.args()).env("HOME", &place.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        Containerd { daemon: command.spawn().expect("setpriv (util-linux)"), place }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.place.socket()
    }
}

/// Pushes the image of sandboxes, the first time.
fn push_sandbox() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let image = sandbox().unwrap_or_else(|error| panic!("{error:#}"));
        world().registry.push(SANDBOX, &image).unwrap_or_else(|error| panic!("{error:#}"));
    });
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let _ = self.daemon.wait();
        let Place { folder, run, bridge, cgroup, .. } = &self.place;
        leaks::clear_caller(&[folder, run], cgroup);
        let _ = Command::new("ip").args(["link", "delete", bridge]).stderr(Stdio::null()).status();
    }
}
