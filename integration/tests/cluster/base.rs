//! A cluster of a test's own, and kubectl for it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use integration::debian::program;
use integration::env::{Env, PATIENCE, Running, within};
use integration::output::Output;
use serde_json::Value;

/// The image of web servers: busybox, which is told to be one.
pub(super) const BUSYBOX: &str = "docker.io/library/busybox:latest";

/// The node's name.
pub(super) const NODE: &str = "one";

/// Bytes of a log's file, of which there are three.
pub(super) const LOG: u32 = 20_000;

/// A web server that says its pod's name and ends when it is asked to.
pub(super) const WEB: &str =
    "mkdir /w; hostname >/w/index.html; httpd -p 8080 -h /w; trap 'exit 0' TERM; while :; do sleep 0.1; done";

/// A cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) env: Env,
    noded: Option<Running>,
    cgroup: String,
}

impl Cluster {
    /// A fresh one, whose node is ready.
    pub(super) fn start() -> Cluster {
        Cluster::start_at("127.0.0.1")
    }

    /// The same with an API that listens there: pods reach it by a service only where it is not the loopback interface.
    pub(super) fn start_at(listen: &str) -> Cluster {
        if !kubectl_is_there() {
            integration::skip!("kubectl is not installed");
        }
        let env = Env::new();
        // Names with dashes are levels of systemd's slices.
        let cgroup = format!("/kubepods_{}", env.bridge().replace('-', "_"));
        let port = free_port();
        let text = format!(
            "root = {:?}\nrun = {:?}\nbridge = {:?}\ncgroup = {:?}\n\
             [cri]\nsocket = {:?}\n[images]\nregistries = [{:?}]\nlogins = []\n\
             [agent]\nname = {NODE:?}\ncgroup = {cgroup:?}\nlogs = {:?}\nlog_size = {LOG}\nlog_files = 3\nstatic_pods = {:?}\nreserve_memory = 0\nreserve_disk = 0\nreserve_inodes = 0\n\
             image_high = 100\nimage_low = 100\nimage_age = 0\n\
             [control]\nfolder = {:?}\nlisten = \"{listen}:{port}\"\npod_cidr = \"{}\"\nservice_cidr = \"{}\"\n",
            env.root(),
            env.run(),
            env.bridge(),
            env.cgroup(),
            env.run().join("noded/cri.sock"),
            env.path("registries.conf"),
            env.path("logs"),
            env.path("manifests"),
            env.path("control"),
            // Several clusters of this host have their pods' and services' addresses apart.
            format_args!("10.{}.{}.0/24", 128 + (port >> 8) % 112, port & 255),
            format_args!("10.{}.{}.0/24", 16 + (port >> 8) % 112, port & 255),
        );
        fs::write(env.path("noded.toml"), text).expect("noded.toml");
        let mut cluster = Cluster { env, noded: None, cgroup };
        cluster.begin();
        cluster.soon("the node is ready", || {
            cluster.get(&["node", NODE], "{.status.conditions[?(@.type=='Ready')].status}") == "True"
        });
        cluster
    }

    /// Starts noded, and waits until it says that it is ready.
    pub(super) fn begin(&mut self) {
        let noded = std::env::var_os("NODED").map_or_else(|| program("noded"), |path| Ok(path.into()));
        let mut command = self.env.command(noded.unwrap_or_else(|error| panic!("{error:#}")));
        command.args(["run", "--all-in-one", "--config"]).arg(self.env.path("noded.toml"));
        let address = self.env.run().join("notify");
        let _ = fs::remove_file(&address);
        let manager = UnixDatagram::bind(&address).expect("a socket");
        manager.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        command.env("NOTIFY_SOCKET", &address);
        let mut noded = Running::start(command);
        let mut buffer = [0; 256];
        match manager.recv(&mut buffer) {
            Ok(length) => assert!(buffer[..length].starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(&buffer[..length])),
            Err(_) if noded.has_ended() => panic!("noded ended\n{}", noded.finish()),
            Err(error) => panic!("noded does not say that it is ready: {error}"),
        }
        self.noded = Some(noded);
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.noded.as_ref().map(Running::pid).expect("a daemon")
    }

    /// Kills noded with SIGKILL.
    pub(super) fn kill(&mut self) {
        self.noded.take().expect("a daemon").kill();
    }

    /// `noded ARGS`, with the configuration of this cluster.
    pub(super) fn noded(&self, args: &[&str]) -> Output {
        let mut command = self.env.command(program("noded").unwrap_or_else(|error| panic!("{error:#}")));
        command.args(args).arg("--config").arg(self.env.path("noded.toml"));
        Running::start(command).finish()
    }

    /// `kubectl ARGS`.
    pub(super) fn kubectl(&self, args: &[&str]) -> Output {
        let mut command = self.command();
        command.args(args);
        Running::start(command).finish()
    }

    /// kubectl, before its words.
    pub(super) fn command(&self) -> Command {
        let mut command = self.env.command("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command
    }

    /// For clients of the API.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.env.path("control/admin.kubeconfig")
    }

    /// `kubectl apply` of a manifest.
    #[track_caller]
    pub(super) fn apply(&self, manifest: &Value) {
        let mut command = self.command();
        command.args(["apply", "-f", "-"]);
        let mut kubectl = Running::start(command);
        kubectl.type_in(&manifest.to_string());
        kubectl.finish().ok();
    }

    /// What a JSON path of objects says; nothing if there are none.
    pub(super) fn get(&self, what: &[&str], path: &str) -> String {
        let path = format!("jsonpath={path}");
        let words: Vec<&str> = ["get"].iter().chain(what).chain(&["-o", path.as_str()]).copied().collect();
        self.kubectl(&words).stdout.trim().to_owned()
    }

    /// Waits until something is so.
    #[track_caller]
    pub(super) fn soon(&self, what: &str, is_so: impl FnMut() -> bool) {
        if !within(PATIENCE, is_so) {
            let said = self.noded.as_ref().map(Running::said).unwrap_or_default();
            let pods = self.kubectl(&["get", "pods,events", "-o", "wide"]);
            panic!("not within {PATIENCE:?}: {what}\n{pods}\nnoded says:\n{said}");
        }
    }

    /// Addresses of the pods that run and are chosen by a label.
    pub(super) fn addresses(&self, label: &str) -> Vec<String> {
        let text = self.get(&["pods", "-l", label], "{range .items[?(@.status.phase=='Running')]}{.status.podIP}{\"\\n\"}{end}");
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Ids of a pod's containers in the engine.
    pub(super) fn container(&self, pod: &str) -> String {
        self.get(&["pod", pod], "{.status.containerStatuses[0].containerID}").trim_start_matches("rctr://").to_owned()
    }

    /// Asserts that nothing of any pod is left on this host.
    #[track_caller]
    pub(super) fn nothing_left(&self) {
        let below =
            |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>();
        let left = || {
            let root = self.env.root();
            let folders = [
                root.join("pods"),
                root.join("pod-names"),
                root.join("volumes-of-pods"),
                self.env.run().join("pods"),
                self.env.run().join("volumes-of-pods"),
                self.env.path("logs"),
            ];
            let mut left: Vec<PathBuf> = folders.into_iter().flat_map(below).collect();
            for class in ["", "besteffort", "burstable"] {
                let hierarchies = [PathBuf::from("/sys/fs/cgroup")].into_iter().chain(below("/sys/fs/cgroup".into()));
                let found =
                    hierarchies.flat_map(|hierarchy| below(hierarchy.join(self.cgroup.trim_start_matches('/')).join(class)));
                left.extend(found.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pod"))));
            }
            left
        };
        let clean = within(Duration::from_secs(20), || left().is_empty());
        assert!(clean, "left behind: {:?}", left());
        self.env.nothing_left();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Pods outlive the daemon.
        if self.noded.is_some() {
            let _ = self.kubectl(&["delete", "deployments,replicasets,pods", "--all", "--grace-period=1", "--timeout=20s"]);
        }
        if let Some(noded) = self.noded.take() {
            noded.kill();
        }
        for hierarchy in fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .chain(["/sys/fs/cgroup".into()])
        {
            for class in ["besteffort", "burstable", ""] {
                let _ = fs::remove_dir(hierarchy.join(self.cgroup.trim_start_matches('/')).join(class));
            }
        }
    }
}

fn kubectl_is_there() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("kubectl").is_file()))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// What a web server answers; nothing if there is none.
pub(super) fn ask(address: &str, port: u16) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&format!("{address}:{port}").parse().ok()?, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned())
}
