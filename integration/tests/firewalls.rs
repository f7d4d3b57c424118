//! Beside firewalld and ufw, each in a host of its own: a network namespace with a neighbour, and mounts that hide what the firewall's own
//! programs write to.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::env::{Env, Running};
use integration::lab::Wires;
use integration::output::Output;

integration::tests![beside_firewalld, beside_ufw];

const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/></policy>
</busconfig>"#;

/// A host with a neighbour. Both have the address of their number in 10.66.1.0/24.
struct Host {
    t: Env,
    wires: Wires,
    world: Option<Running>,
    others: Vec<Running>,
}

const HOST: usize = 1;
const NEIGHBOUR: usize = 2;

impl Host {
    fn new(programs: &[&str]) -> Host {
        let missing: Vec<_> = programs.iter().filter(|program| !Path::new(program).exists()).collect();
        if !missing.is_empty() {
            integration::skip!("needs {missing:?}");
        }
        let t = Env::new();
        t.rctr(["pull", "-q", "test/probe"]).ok();
        let wires = Wires::make(&format!("{}w", t.bridge()), &[1, 1]);
        let mut host = Host { t, wires, world: None, others: Vec::new() };
        let hide = "set -e; mkdir -p /run/dbus; mount -t tmpfs bus /run/dbus; for folder in /etc/firewalld /etc/ufw; do \
                    [ -d $folder ] || continue; cp -a $folder /run/dbus/copy; mkdir $1/${folder##*/}; cp -a /run/dbus/copy/. $1/${folder##*/}; \
                    rm -r /run/dbus/copy; mount --bind $1/${folder##*/} $folder; done; echo on; exec sleep 1000";
        let mut command = host.wires.command(&host.t, HOST, "unshare");
        command.args(["--mount", "sh", "-c", hide, "sh"]).arg(host.t.path("."));
        let mut world = Running::start(command);
        world.wait_for("on");
        host.world = Some(world);
        let probe = integration::debian::program("probe").expect("the probe");
        let mut server = host.wires.command(&host.t, NEIGHBOUR, &probe.display().to_string());
        server.args(["listen", "8081", "outside"]);
        host.others.push(Running::start(server));
        host
    }

    /// A command on the host.
    fn command(&self, line: &[&str]) -> Command {
        let world = self.world.as_ref().expect("a world").pid().to_string();
        let mut command = self.t.command("nsenter");
        command.args(["--net", "--mount", "--target", &world, "--"]).args(line);
        command
    }

    fn run(&self, line: &[&str]) -> Output {
        Running::start(self.command(line)).finish()
    }

    fn rctr(&self, args: &[&str]) -> Output {
        let rctr = integration::env::world().rctr.display().to_string();
        self.run(&[&[rctr.as_str()], args].concat())
    }

    /// Both directions, and by names between containers.
    #[track_caller]
    fn all_passes(&self, when: &str) {
        let page = |host: &str| format!("http://{host}:8080/");
        let ask = |page: &str| ["-s", "-m", "10", page].map(str::to_owned);
        let mut outside = self.wires.command(&self.t, NEIGHBOUR, "curl");
        outside.args(ask(&page(&self.wires.address(HOST))));
        let answer = Running::start(outside).finish();
        assert!(answer.stdout.contains("hello"), "{when}, from outside: {answer}");
        // By the host's own address, and by its loopback.
        for host in [self.wires.address(HOST).as_str(), "127.0.0.1"] {
            let answer = self.run(&["curl", "-s", "-m", "10", &page(host)]);
            assert!(answer.stdout.contains("hello"), "{when}, on the host by {host}: {answer}");
        }
        let outside = format!("{}:8081", self.wires.address(NEIGHBOUR));
        for (from, to, text) in
            [("plain", outside.as_str(), "outside"), ("named", &outside, "outside"), ("named", "server:80", "hello")]
        {
            let answer = self.rctr(&["exec", from, "/probe", "connect", to]);
            assert!(answer.stdout.contains(text), "{when}, from {from} to {to}: {answer}");
        }
    }

    /// One container in the default network, and two in one with names, of which one is published.
    fn populate(&self) {
        self.rctr(&["network", "create", "own"]).ok();
        self.rctr(&["run", "-d", "--name", "plain", "test/probe", "sleep"]).ok();
        self.rctr(&["run", "-d", "--name", "named", "--network", "own", "test/probe", "sleep"]).ok();
        self.rctr(&["run", "-d", "--name", "server", "--network", "own", "-p", "8080:80", "test/probe", "listen", "80", "hello"])
            .ok();
        self.t.wait_for_log("server", "listening");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = self.rctr(&["rm", "-f", "plain", "named", "server"]);
            let _ = self.rctr(&["network", "rm", "own"]);
        }));
        drop(quiet);
        self.others.drain(..).rev().chain(self.world.take()).for_each(Running::kill);
    }
}

fn beside_firewalld() {
    let mut host = Host::new(&["/usr/sbin/firewalld", "/usr/bin/dbus-daemon", "/usr/sbin/nft"]);
    let config = host.t.path("bus.conf");
    fs::write(&config, BUS).expect("a configuration");
    let bus = Running::start(host.command(&["dbus-daemon", "--nofork", "--config-file", &config.display().to_string()]));
    host.others.push(bus);
    host.t.soon("there is a bus", || host.run(&["test", "-S", "/run/dbus/system_bus_socket"]).code == 0);
    let daemon = Running::start(host.command(&["firewalld", "--nofork", "--nopid"]));
    host.others.push(daemon);
    host.t.soon("firewalld runs", || host.run(&["firewall-cmd", "--state"]).code == 0);
    // The way out is in a zone into which nothing is passed on from the one that is everybody's.
    for flags in [&["--permanent", "--zone=dmz"][..], &["--zone=dmz"]] {
        host.run(&[&["firewall-cmd"], flags, &["--add-interface=eth0"]].concat()).ok();
    }
    host.populate();
    host.all_passes("after a start");
    let zones = host.run(&["firewall-cmd", "--zone=trusted", "--list-interfaces"]);
    assert_eq!(zones.ok().text().split_whitespace().count(), 2, "{zones}");
    // Without that nothing gets out.
    let (zone, page) = (format!("--remove-interface={}", host.t.bridge()), format!("{}:8081", host.wires.address(NEIGHBOUR)));
    host.run(&["firewall-cmd", "--zone=trusted", &zone]).ok();
    let answer = host.rctr(&["exec", "plain", "/probe", "connect", &page]);
    assert!(!answer.stdout.contains("outside"), "{answer}");
    host.run(&["firewall-cmd", "--reload"]).ok();
    host.all_passes("after a reload");
    host.run(&["firewall-cmd", "--complete-reload"]).ok();
    host.all_passes("after a complete reload");
    // Where the administrator puts a bridge it stays.
    let bridge = format!("{}k", host.t.bridge());
    host.rctr(&["network", "create", "-o", &format!("com.docker.network.bridge.name={bridge}"), "kept"]).ok();
    host.run(&["firewall-cmd", "--zone=internal", &format!("--add-interface={bridge}")]).ok();
    host.rctr(&["run", "--rm", "--network", "kept", "test/probe", "out", "x"]).ok();
    host.run(&["firewall-cmd", &format!("--get-zone-of-interface={bridge}")]).ok().says("internal\n");
    host.rctr(&["network", "rm", "kept"]).ok();
    // Everything of it is gone with this, firewalld's own rules as well.
    host.run(&["nft", "flush", "ruleset"]).ok();
    host.rctr(&["network", "reload"]).ok();
    host.all_passes("after a flush");
}

fn beside_ufw() {
    let host = Host::new(&["/usr/sbin/ufw", "/usr/sbin/iptables", "/usr/sbin/nft"]);
    host.run(&["ufw", "--force", "enable"]).ok();
    host.populate();
    host.all_passes("after a start");
    host.run(&["ufw", "reload"]).ok();
    host.all_passes("after a reload");
    host.run(&["ufw", "--force", "disable"]).ok();
    host.all_passes("after its end");
    host.run(&["ufw", "--force", "enable"]).ok();
    host.rctr(&["network", "reload"]).ok();
    host.all_passes("after its return");
    host.run(&["nft", "flush", "ruleset"]).ok();
    host.run(&["ufw", "reload"]).ok();
    host.rctr(&["network", "reload"]).ok();
    host.all_passes("after a flush");
}
