//! A cluster of several nodes on one machine, over links that can be cut and made bad.
//!
//! ```text
//!   namespace P-h: control plane, router 10.66.0.1       br1 10.66.1.1                 br2 10.66.2.1
//!                                                         │ p1   │ p2   …               │ p4
//!   namespaces P-1, P-2 …: eth0 10.66.SEGMENT.1N         one    two    …               four
//! ```
//!
//! A node is a world of its own: network, processes and mounts, with a root, a runtime folder and cgroups of its own. Killing the first of
//! its processes is pulling its plug. Nodes of one segment reach each other directly, those of two through the router.
//!
//! The links are made with `ip` and `nft`, processes put in their places by `nsenter` and `unshare`; the programs under test use none of
//! them.

mod client;
mod etcd;
mod logind;
mod node;
mod plane;
mod wires;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::env::{Env, PATIENCE, Running, within};
use crate::output::Output;

pub use client::Client;
pub use etcd::Etcd;
pub use logind::Logind;
pub use node::Node;
pub use plane::Plane;
pub use wires::Wires;

/// The names of nodes, in their order.
pub const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

/// The image that all nodes have.
pub const BUSYBOX: &str = "docker.io/library/busybox:latest";

/// The address of the control plane.
const PLANE: &str = "10.66.0.1";

/// The address of a second host of it: the router's on the first segment.
const SECOND: &str = "10.66.1.1";

/// A cluster.
#[derive(Debug)]
pub struct Lab {
    /// Folders and images.
    pub env: Env,
    /// The links.
    pub wires: Wires,
    /// The control plane.
    pub plane: Plane,
    /// What two hosts share, where there are two.
    pub etcd: Option<Etcd>,
    /// The second one.
    pub second: Option<Plane>,
    /// The nodes, by name.
    pub nodes: BTreeMap<&'static str, Node>,
}

impl Lab {
    /// One whose nodes are ready: as many as there are segments, each with the number of its segment. `network` is what is below `[network]`
    /// of the nodes' configuration. Skips the test where something of the host is missing.
    ///
    /// # Panics
    /// When a node does not come up.
    #[must_use]
    pub fn start(segments: &[u8], network: &str) -> Lab {
        let lab = Lab::wired(segments);
        lab.grown(segments, network)
    }

    /// One with two control-plane hosts, which share an etcd.
    ///
    /// # Panics
    /// When a node does not come up.
    #[must_use]
    pub fn start_with_hosts(segments: &[u8], network: &str) -> Lab {
        if !is_there("etcd") {
            crate::skip!("etcd is not installed");
        }
        let mut lab = Lab::wired(segments);
        let mut etcd = Etcd::new(&lab.env, &lab.wires);
        etcd.begin();
        let store = ["--store", etcd.address()];
        lab.plane = Plane::new(&lab.env, &lab.wires, "control-1", PLANE, &store);
        let mut second = Plane::new(&lab.env, &lab.wires, "control-2", SECOND, &store);
        lab.plane.begin();
        lab.soon("the first host answers", || lab.kubectl(&["get", "--raw", "/readyz"]).code == 0);
        // all that an operator has to carry over
        std::fs::copy(lab.plane.folder().join("store.key"), second.folder().join("store.key")).expect("the key");
        second.begin();
        lab.soon("the second host answers", || lab.kubectl_at(&second, &["get", "--raw", "/readyz"]).code == 0);
        lab.soon("both are listed", || lab.get(&["endpoints", "kubernetes"], "{.subsets[*].addresses[*].ip}").contains(SECOND));
        (lab.etcd, lab.second) = (Some(etcd), Some(second));
        lab.grown(segments, network)
    }

    /// The links and a control plane that does not run yet.
    fn wired(segments: &[u8]) -> Lab {
        for program in ["kubectl", "ip", "nft", "nsenter", "unshare", "curl"] {
            if !is_there(program) {
                crate::skip!("{program} is not installed");
            }
        }
        let env = Env::new();
        let wires = Wires::make(&env.bridge().replace("rt", "lab"), segments);
        let plane = Plane::new(&env, &wires, "control", "0.0.0.0", &["--name", PLANE]);
        Lab { env, wires, plane, etcd: None, second: None, nodes: BTreeMap::new() }
    }

    /// With a control plane and nodes that are ready.
    fn grown(self, segments: &[u8], network: &str) -> Lab {
        let mut lab = self;
        if lab.plane.pid().is_none() {
            lab.plane.begin();
        }
        lab.soon("the API answers", || lab.kubectl(&["get", "--raw", "/readyz"]).code == 0);
        let names = NAMES.into_iter().take(segments.len());
        for (number, name) in (1..).zip(names) {
            let mut node = Node::make(&lab.env, &lab.wires, name, number, lab.plane.invitation(&lab.env, &lab.wires), network);
            node.power_on();
            lab.nodes.insert(name, node);
        }
        let count = segments.len();
        lab.soon("all nodes are ready", || lab.ready().len() == count);
        // a node takes pods once its network is there, and not all are there at once
        lab.soon("all nodes take pods", || lab.get(&["nodes"], "{.items[*].spec.taints[*].key}").is_empty());
        lab
    }

    /// Names of the nodes that are ready.
    #[must_use]
    pub fn ready(&self) -> Vec<String> {
        let template = r#"{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}"#;
        let text = self.get(&["nodes"], template);
        text.split_whitespace().filter_map(|word| word.strip_suffix("=True")).map(str::to_owned).collect()
    }

    /// A node.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).expect("a node of this name")
    }

    /// `kubectl ARGS`, from beside the control plane.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        self.kubectl_at(&self.plane, args)
    }

    /// The same at another host.
    pub fn kubectl_at(&self, plane: &Plane, args: &[&str]) -> Output {
        let mut command = self.wires.command(&self.env, 0, "kubectl");
        command.arg("--kubeconfig").arg(plane.kubeconfig()).args(args);
        Running::start(command).finish()
    }

    fn kubectl_command(&self) -> Command {
        let mut command = self.wires.command(&self.env, 0, "kubectl");
        command.arg("--kubeconfig").arg(self.plane.kubeconfig());
        command
    }

    /// `kubectl apply` of a manifest.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) {
        let mut command = self.kubectl_command();
        command.args(["apply", "-f", "-"]);
        let mut kubectl = Running::start(command);
        kubectl.type_in(&manifest.to_string());
        kubectl.finish().ok();
    }

    /// What a JSON path of objects says; nothing if there are none.
    #[must_use]
    pub fn get(&self, what: &[&str], path: &str) -> String {
        let path = format!("jsonpath={path}");
        let words: Vec<&str> = ["get"].iter().chain(what).chain(&["-o", path.as_str()]).copied().collect();
        self.kubectl(&words).stdout.trim().to_owned()
    }

    /// The pods with a label that run and are not on their way out.
    #[must_use]
    pub fn pods(&self, label: &str) -> Vec<PodSeen> {
        let list: Value =
            serde_json::from_str(&self.kubectl(&["get", "pods", "-l", label, "-o", "json"]).stdout).unwrap_or_default();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let runs = |pod: &Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
        items.iter().filter(|pod| runs(pod)).map(PodSeen::read).collect()
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// When it does not come true within [`PATIENCE`]; the message has what the cluster and the programs say.
    #[track_caller]
    pub fn soon(&self, what: &str, is_so: impl FnMut() -> bool) {
        if within(PATIENCE, is_so) {
            return;
        }
        let all = self.kubectl(&["get", "nodes,pods,events", "-A", "-o", "wide"]);
        let said: Vec<String> = self.nodes.values().map(|node| format!("{} says:\n{}", node.name, node.said())).collect();
        panic!("not within {PATIENCE:?}: {what}\n{all}\ncontrol plane says:\n{}\n{}", self.plane.said(), said.join("\n"));
    }
}

/// A pod that runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub uid: String,
    /// Where it runs.
    pub node: String,
    /// Its address.
    pub address: String,
    /// The id of its first container.
    pub container: String,
    /// It takes requests.
    pub ready: bool,
}

impl PodSeen {
    fn read(pod: &Value) -> PodSeen {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let container = &pod["status"]["containerStatuses"][0];
        PodSeen {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            node: text(&pod["spec"]["nodeName"]),
            address: text(&pod["status"]["podIP"]),
            container: text(&container["containerID"]).trim_start_matches("rctr://").to_owned(),
            ready: container["ready"] == true,
        }
    }
}

fn is_there(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
