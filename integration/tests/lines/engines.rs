//! The engines that command lines are given to, each with the busybox image.

use std::path::{Path, PathBuf};

use integration::env::Env;
use integration::output::Output;

use crate::callers::{docker, ground::finish, podman};

/// One engine.
pub(super) trait Engine {
    /// As the script names it.
    fn name(&self) -> &'static str;

    /// Where its commands run.
    fn folder(&self) -> PathBuf;

    /// Runs one.
    fn run(&self, words: &[String]) -> Output;
}

pub(super) struct Rctr(Env);

impl Rctr {
    pub(super) fn new() -> Self {
        let env = Env::new();
        env.rctr(["pull", "-q", "busybox"]).ok();
        Rctr(env)
    }

    /// Removes what the lines have made; nothing else may be left.
    pub(super) fn clean(&self) {
        self.0.nothing_left();
    }
}

impl Engine for Rctr {
    fn name(&self) -> &'static str {
        "rctr"
    }

    fn folder(&self) -> PathBuf {
        self.0.path(".")
    }

    fn run(&self, words: &[String]) -> Output {
        self.0.rctr(words)
    }
}

/// The busybox image as an archive that every engine loads.
fn archive(folder: &Path) -> String {
    let env = Env::new();
    let file = folder.join("busybox.tar").display().to_string();
    env.rctr(["pull", "-q", "busybox"]).ok();
    env.rctr(["save", "-o", &file, "busybox"]).ok();
    file
}

pub(super) struct Docker(docker::Docker);

impl Docker {
    pub(super) fn new() -> Self {
        let docker = docker::Docker::start();
        let file = archive(Path::new(&docker.ground.path(".")));
        docker.docker(&["load", "-q", "-i", &file]).ok();
        docker.docker(&["rmi", "box"]).ok();
        Docker(docker)
    }
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn folder(&self) -> PathBuf {
        self.0.ground.path(".").into()
    }

    fn run(&self, words: &[String]) -> Output {
        finish(self.0.command(&words.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

pub(super) struct Podman(podman::Podman);

impl Podman {
    pub(super) fn new() -> Self {
        let podman = podman::Podman::new();
        let file = archive(Path::new(&podman.ground.path(".")));
        podman.podman(&["load", "-q", "-i", &file]).ok();
        Podman(podman)
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn folder(&self) -> PathBuf {
        self.0.ground.path(".").into()
    }

    fn run(&self, words: &[String]) -> Output {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let parent = format!("/{}", self.0.ground.cgroup);
        if matches!(words.first(), Some(&("run" | "create"))) {
            words.splice(1..1, podman::flags(&parent));
        }
        finish(self.0.command(&words))
    }
}
