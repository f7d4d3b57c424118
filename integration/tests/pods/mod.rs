//! Pods, by the engine's own verbs and seen from inside: what the node daemon stands on.

mod base;
mod broken;
mod output;
mod pids;
mod secure;
mod users;
mod watched;

use std::path::Path;

use engine::{Config, CreateRequest, Engine, ExecRequest, Happening, Pod, PodMember, PodRequest, StartOptions};
use integration::debian::program;
use integration::env::{Env, within};
use integration::runner::Test;

pub(crate) const TESTS: &[&[Test]] =
    &[base::TESTS, broken::TESTS, output::TESTS, pids::TESTS, secure::TESTS, users::TESTS, watched::TESTS];

/// An environment with an engine in this process.
pub(crate) struct Pods {
    pub(crate) env: Env,
    pub(crate) engine: Engine,
}

impl Pods {
    pub(crate) fn new() -> Self {
        let env = Env::new();
        env.rctr(["pull", "-q", "busybox"]).ok();
        let engine = Engine::open(config(&env)).expect("an engine");
        Pods { env, engine }
    }

    /// A pod of this name with everything as it comes.
    #[track_caller]
    pub(crate) fn run(&self, name: &str) -> Pod {
        self.engine.run_pod(&request(name)).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    /// Makes and starts a container of busybox in a pod.
    #[track_caller]
    pub(crate) fn start(&self, pod: &Pod, name: &str, change: impl FnOnce(&mut CreateRequest)) -> String {
        let id = self.create(pod, name, change).unwrap_or_else(|error| panic!("{}", chain(&error)));
        self.engine.start(&id, &StartOptions::default()).unwrap_or_else(|error| panic!("{}", chain(&error)));
        id
    }

    pub(crate) fn create(&self, pod: &Pod, name: &str, change: impl FnOnce(&mut CreateRequest)) -> Result<String, engine::Error> {
        let image = self.engine.images().image("busybox").expect("busybox");
        let member = PodMember {
            pod: pod.record.id.clone(),
            name: name.to_owned(),
            attempt: 0,
            extra: serde_json::json!({ "asked": name }),
        };
        let mut request =
            CreateRequest { image: "busybox".to_owned(), cmd: words("sleep 1000"), pod: Some(member), ..CreateRequest::default() };
        change(&mut request);
        self.engine.create(&request, &image).map(|record| record.id)
    }

    /// What `sh -c SCRIPT` says in a container.
    #[track_caller]
    pub(crate) fn sh(&self, container: &str, script: &str) -> String {
        let cmd = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let mut session = self
            .engine
            .exec(container, &ExecRequest { cmd, ..ExecRequest::default() })
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        let mut said = Vec::new();
        loop {
            match session.happening().expect("the monitor") {
                Some(Happening::Stdout(bytes) | Happening::Stderr(bytes)) => said.extend(bytes),
                Some(Happening::Exited(_)) => return String::from_utf8_lossy(&said).trim_end().to_owned(),
                None => {}
            }
        }
    }

    /// Nothing of a pod is left, and nothing of a container.
    #[track_caller]
    pub(crate) fn nothing_left(&self) {
        let left = || {
            let folders = [self.env.root().join("pods"), self.env.root().join("pod-names"), self.env.run().join("pods")];
            folders.iter().flat_map(|folder| list(folder)).collect::<Vec<_>>()
        };
        assert!(left().is_empty(), "left behind: {:?}", left());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let pods = self.env.run().join("pods").display().to_string();
        assert!(!mounts.contains(&pods), "mounts left behind:\n{mounts}");
        self.env.nothing_left();
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        for pod in self.engine.pods().unwrap_or_default() {
            let _ = self.engine.remove_pod(&pod.record.id);
        }
    }
}

pub(crate) fn config(env: &Env) -> Config {
    Config {
        root: env.root(),
        run: env.run().to_owned(),
        bridge: env.bridge().to_owned(),
        cgroup: env.cgroup(),
        monitor: program("rctr-monitor").expect("rctr-monitor"),
        starter: Vec::new(),
        resolv_conf: "/etc/resolv.conf".into(),
        own_resolv_conf: "/etc/resolv.conf".into(),
        publish_on: None,
        home: None,
        cni: None,
        storage: images::Driver::Tree,
    }
}

pub(crate) fn request(name: &str) -> PodRequest {
    PodRequest {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("uid-{name}"),
        hostname: name.to_owned(),
        ..PodRequest::default()
    }
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The names in a folder, or none.
pub(crate) fn list(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// An error with its causes, as a program shows it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Waits, with a bound, for what nobody tells.
#[track_caller]
pub(crate) fn soon(what: &str, is_so: impl FnMut() -> bool) {
    assert!(within(std::time::Duration::from_secs(60), is_so), "not within a minute: {what}");
}
