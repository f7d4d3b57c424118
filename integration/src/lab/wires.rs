//! Namespaces, and the links between them.

use std::process::{Command, Stdio};

use crate::env::Env;

/// The network of a lab. Dropping it removes it.
#[derive(Debug)]
pub struct Wires {
    prefix: String,
    segments: Vec<u8>,
}

impl Wires {
    /// A namespace with a router, and one for each node, whose number is its place in `segments`, from 1.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn make(prefix: &str, segments: &[u8]) -> Wires {
        let wires = Wires { prefix: prefix.to_owned(), segments: segments.to_vec() };
        wires.router();
        for number in 1..=segments.len() {
            wires.node(number);
        }
        wires
    }

    fn router(&self) {
        let hub = self.namespace(0);
        ip(&["netns", "add", &hub]);
        ip(&["-n", &hub, "link", "set", "lo", "up"]);
        ip(&["-n", &hub, "addr", "add", "10.66.0.1/32", "dev", "lo"]);
        let mut segments = self.segments.clone();
        segments.sort_unstable();
        segments.dedup();
        for segment in segments {
            let bridge = format!("br{segment}");
            ip(&["-n", &hub, "link", "add", &bridge, "type", "bridge"]);
            ip(&["-n", &hub, "addr", "add", &format!("10.66.{segment}.1/24"), "dev", &bridge]);
            ip(&["-n", &hub, "link", "set", &bridge, "up"]);
        }
        run(Command::new("ip").args(["netns", "exec", &hub, "sysctl", "-qw", "net.ipv4.ip_forward=1"]));
    }

    fn node(&self, number: usize) {
        let (hub, own, port) = (self.namespace(0), self.namespace(number), format!("p{number}"));
        let segment = self.segments[number - 1];
        ip(&["netns", "add", &own]);
        ip(&["link", "add", &port, "netns", &hub, "type", "veth", "peer", "name", "eth0", "netns", &own]);
        ip(&["-n", &hub, "link", "set", &port, "master", &format!("br{segment}"), "up"]);
        ip(&["-n", &own, "link", "set", "lo", "up"]);
        ip(&["-n", &own, "addr", "add", &format!("{}/24", self.address(number)), "dev", "eth0"]);
        ip(&["-n", &own, "link", "set", "eth0", "up"]);
        ip(&["-n", &own, "route", "add", "default", "via", &format!("10.66.{segment}.1")]);
    }

    /// The address of a node.
    #[must_use]
    pub fn address(&self, number: usize) -> String {
        format!("10.66.{}.{}", self.segments[number - 1], 10 + number)
    }

    /// The name of a node's namespace; 0 is the router's.
    #[must_use]
    pub fn namespace(&self, number: usize) -> String {
        if number == 0 { format!("{}-h", self.prefix) } else { format!("{}-{number}", self.prefix) }
    }

    /// A name that is this lab's alone.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A command in a node's network; 0 is the router's.
    #[must_use]
    pub fn command(&self, env: &Env, number: usize, program: &str) -> Command {
        let mut command = env.command("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace(number))).arg("--").arg(program);
        command
    }

    /// Nothing passes a node's link any more.
    pub fn cut(&self, number: usize) {
        ip(&["-n", &self.namespace(0), "link", "set", &format!("p{number}"), "down"]);
    }

    /// All passes again.
    pub fn mend(&self, number: usize) {
        ip(&["-n", &self.namespace(0), "link", "set", &format!("p{number}"), "up"]);
    }

    /// So many of a hundred packets from a node are lost; 0: none.
    pub fn lossy(&self, number: usize, share: u8) {
        let (hub, port, table) = (self.namespace(0), format!("p{number}"), format!("loss{number}"));
        let nft = |words: &str| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &hub, "nft", words]);
            command
        };
        let _ = nft(&format!("delete table netdev {table}")).stderr(Stdio::null()).status();
        if share > 0 {
            run(&mut nft(&format!(
                "table netdev {table} {{ chain in {{ type filter hook ingress device {port} priority 0; \
                 numgen random mod 100 < {share} drop; }} }}"
            )));
        }
    }

    /// A node's packets are late by so many milliseconds, to and fro.
    ///
    /// # Errors
    /// What the kernel lacks for it.
    pub fn delay(&self, number: usize, milliseconds: u32) -> Result<(), String> {
        let time = format!("{milliseconds}ms");
        for (namespace, link) in [(self.namespace(0), format!("p{number}")), (self.namespace(number), "eth0".to_owned())] {
            let mut command = Command::new("tc");
            command.args(["-n", &namespace, "qdisc", "replace", "dev", &link, "root", "netem", "delay", &time]);
            let done = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
            if !done {
                return Err("the kernel has no qdisc netem (CONFIG_NET_SCH_NETEM), or tc is not installed".to_owned());
            }
        }
        Ok(())
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        for number in 0..=self.segments.len() {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(number)]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(args: &[&str]) {
    run(Command::new("ip").args(args));
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
