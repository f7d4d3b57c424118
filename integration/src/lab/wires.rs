//! Namespaces, and the links between them.

use std::process::{Command, Stdio};

use crate::env::{Env, PATIENCE, Running, within};

/// The network of a lab. Dropping it removes it.
#[derive(Debug)]
pub struct Wires {
    prefix: String,
    segments: Vec<u8>,
    relays: Vec<Running>,
}

impl Wires {
    /// A namespace with a router, and one for each node, whose number is its place in `segments`, from 1.
    ///
    /// # Panics
    /// When the kernel refuses.
    #[must_use]
    pub fn make(prefix: &str, segments: &[u8]) -> Wires {
        let wires = Wires { prefix: prefix.to_owned(), segments: segments.to_vec(), relays: Vec::new() };
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
            // an address of its own, since that of a port would go with the port
            let own = format!("02:66:00:00:00:{segment:02x}");
            ip(&["-n", &hub, "link", "add", &bridge, "address", &own, "type", "bridge"]);
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

    /// So many of a hundred packets from a node are lost; 0: none; 100: the link is cut one way.
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
                 numgen random mod 100 <= {} drop; }}; }}",
                share - 1
            )));
        }
    }

    /// A node's packets are late by so many milliseconds, to and fro. Its link takes a way through a program, since not every kernel has
    /// netem.
    ///
    /// # Panics
    /// When the kernel refuses, or the program does not come up.
    pub fn delay(&mut self, env: &Env, number: usize, milliseconds: u32) {
        let (hub, port, side) = (self.namespace(0), format!("p{number}"), format!("d{number}"));
        let (near, far) = (format!("n{number}"), format!("f{number}"));
        let mut relay = self.command(env, 0, "/usr/bin/python3");
        relay.args(["-c", include_str!("late.py"), &near, &far, &milliseconds.to_string()]);
        self.relays.push(Running::start(relay));
        let is_there =
            |link: &str| Command::new("ip").args(["-n", &hub, "link", "show", link]).output().is_ok_and(|it| it.status.success());
        assert!(within(PATIENCE, || is_there(&near) && is_there(&far)), "late.py has not come up");
        ip(&["-n", &hub, "link", "add", &side, "type", "bridge"]);
        let whole = format!("br{}", self.segments[number - 1]);
        for (link, bridge) in [(&far, &whole), (&near, &side), (&port, &side)] {
            ip(&["-n", &hub, "link", "set", link, "master", bridge, "up"]);
        }
        ip(&["-n", &hub, "link", "set", &side, "up"]);
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.relays.drain(..).for_each(|relay| relay.kill());
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
