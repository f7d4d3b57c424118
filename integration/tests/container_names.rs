//! Containers that find each other by name, and what a resolver asks of others.

use integration::env::Env;

use crate::networks::network;

integration::tests![
    names_and_aliases,
    names_go_with_their_containers,
    an_internal_network_asks_nobody,
    hosts_and_resolvers_by_hand,
    networks_come_and_go_while_it_runs,
    a_stopped_container_changes_networks,
    a_killed_monitor_leaves_no_names,
    rules_come_back_after_a_flush,
    a_new_name_is_known_at_once,
];

#[track_caller]
fn listener(t: &Env, args: &[&str]) -> String {
    let id = t.start(args.iter().copied().chain(["test/probe", "listen", "80", "hello"]));
    t.wait_for_log(&id, "listening");
    id
}

/// What a container finds under a name: addresses, one a line, or why not.
#[track_caller]
fn found(t: &Env, container: &str, name: &str) -> String {
    t.rctr(["exec", container, "/probe", "resolve", name]).ok().text().to_owned()
}

#[track_caller]
fn address(t: &Env, id: &str, network: &str) -> String {
    t.inspect(id, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

fn names_and_aliases() {
    let t = Env::new();
    network(&t, &["web"]);
    let front = listener(&t, &["--network", "web", "--name", "front"]);
    let db = listener(&t, &["--network", "web", "--name", "Db-1", "--network-alias", "store"]);
    let ip = address(&t, &db, "web");
    for name in ["db-1", "DB-1", "store", "db-1.web", &db[..12]] {
        assert_eq!(found(&t, &front, name), ip, "{name}");
    }
    t.rctr(["exec", &front, "/probe", "connect", "store:80"]).ok().has("hello");
    assert_eq!(found(&t, &db, "front"), address(&t, &front, "web"));
    t.rctr(["exec", &front, "/probe", "read", "/etc/resolv.conf"]).ok().has("nameserver 127.0.0.11");
    // Two of one name answer both.
    let second = listener(&t, &["--network", "web", "--network-alias", "store"]);
    let mut both = vec![ip, address(&t, &second, "web")];
    both.sort();
    let answer = found(&t, &front, "store");
    let mut lines: Vec<_> = answer.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, both);
    let plain = listener(&t, &[]);
    let text = t.rctr(["exec", &plain, "/probe", "read", "/etc/resolv.conf"]);
    assert!(!text.ok().text().contains("127.0.0.11"), "{text}");
    t.remove_all();
    t.rctr(["network", "rm", "web"]).ok();
    t.nothing_left();
}

fn names_go_with_their_containers() {
    let t = Env::new();
    network(&t, &["--internal", "web"]);
    let front = listener(&t, &["--network", "web"]);
    let back = listener(&t, &["--network", "web", "--name", "back"]);
    assert_eq!(found(&t, &front, "back"), address(&t, &back, "web"));
    t.rctr(["rm", "-f", "back"]).ok();
    assert!(found(&t, &front, "back").starts_with("not found"));
    let again = listener(&t, &["--network", "web", "--name", "back"]);
    assert_eq!(found(&t, &front, "back"), address(&t, &again, "web"));
    t.remove_all();
    t.rctr(["network", "rm", "web"]).ok();
    t.nothing_left();
}

/// CVE-2024-29018.
fn an_internal_network_asks_nobody() {
    let t = Env::new();
    network(&t, &["--internal", "closed"]);
    let id = listener(&t, &["--network", "closed", "--dns", "127.0.0.1"]);
    // At once: nobody is waited for.
    assert!(found(&t, &id, "leak.example.org").starts_with("not found"));
    t.remove_all();
    t.rctr(["network", "rm", "closed"]).ok();
    t.nothing_left();
}

fn hosts_and_resolvers_by_hand() {
    let t = Env::new();
    let flags = ["--dns", "192.0.2.53", "--dns-search", "a.example", "--dns-option", "ndots:3", "--add-host", "db:192.0.2.7"];
    let run = |more: &[&str]| {
        let words = ["run", "--rm"].iter().chain(&flags).chain(more).copied();
        t.rctr(words.chain(["test/probe", "read", "/etc/resolv.conf"]))
    };
    run(&[]).ok().says("nameserver 192.0.2.53\nsearch a.example\noptions ndots:3\n");
    run(&["--network", "host"]).ok().says("nameserver 192.0.2.53\nsearch a.example\noptions ndots:3\n");
    let id = listener(&t, &["--add-host", "db:192.0.2.7", "--add-host", "outside=host-gateway"]);
    let hosts = t.rctr(["exec", &id, "/probe", "read", "/etc/hosts"]);
    let gateway = t.inspect(&id, "{{.NetworkSettings.Gateway}}");
    assert!(hosts.ok().text().ends_with(&format!("192.0.2.7\tdb\n{gateway}\toutside\n").trim_end()), "{hosts}");
    assert_eq!(t.inspect(&id, "{{json .HostConfig.ExtraHosts}}"), "[\"db:192.0.2.7\",\"outside:host-gateway\"]");
    for bad in [["--dns", "x"], ["--add-host", "db"], ["--dns-search", "a b"], ["--dns-option", "a\nnameserver 1.2.3.4"]] {
        t.rctr(["run", "--rm"].iter().chain(&bad).chain(&["test/probe", "out", "x"])).code(125).says("");
    }
    t.rctr(["run", "--rm", "--network", "none", "--add-host", "h:host-gateway", "test/probe", "out", "x"])
        .fails(125, &["the container has no way to this host"]);
    t.remove_all();
    t.nothing_left();
}

fn networks_come_and_go_while_it_runs() {
    let t = Env::new();
    network(&t, &["one"]);
    network(&t, &["two"]);
    let port = crate::ports::free_port();
    let id = listener(&t, &["--name", "mover", "-p", &format!("{port}:80")]);
    let db = listener(&t, &["--network", "one", "--name", "db"]);
    t.rctr(["network", "connect", "--alias", "m", "one", "mover"]).ok().says("");
    assert_eq!(found(&t, "mover", "db"), address(&t, &db, "one"));
    assert_eq!(found(&t, "db", "m"), address(&t, &id, "one"));
    t.rctr(["exec", "mover", "/probe", "connect", "db:80"]).ok().has("hello");
    t.rctr(["ps", "-f", "name=mover", "--format", "{{.Networks}}"]).ok().says("bridge,one\n");
    t.rctr(["exec", "mover", "/probe", "links"]).ok().has("eth1");
    t.rctr(["network", "connect", "one", "mover"]).fails(125, &["it is connected already"]);
    t.rctr(["network", "rm", "one"]).fails(125, &["in use by db, mover"]);
    // The ports follow to the network that leads out then.
    t.rctr(["network", "connect", "two", "mover"]).ok();
    t.rctr(["network", "disconnect", "bridge", "mover"]).ok().says("");
    crate::ports::expect(("127.0.0.1", port), "hello");
    t.rctr(["exec", "mover", "/probe", "links"]).ok().says("eth1\neth2\nlo\n");
    t.rctr(["network", "disconnect", "one", "mover"]).ok();
    crate::ports::expect(("127.0.0.1", port), "hello");
    assert!(found(&t, "db", "m").starts_with("not found"));
    t.rctr(["network", "disconnect", "one", "mover"]).fails(125, &["it is not connected to it"]);
    t.rctr(["network", "disconnect", "-f", "one", "mover"]).ok();
    t.rctr(["network", "disconnect", "two", "mover"]).ok();
    t.rctr(["exec", "mover", "/probe", "links"]).ok().says("lo\n");
    t.rctr(["network", "connect", "two", "mover"]).ok();
    // And so they are when it is started again.
    t.rctr(["restart", "-t", "0", "mover"]).ok();
    t.rctr(["ps", "-f", "name=mover", "--format", "{{.Networks}}"]).ok().says("two\n");
    t.remove_all();
    t.rctr(["network", "rm", "one", "two"]).ok();
    t.nothing_left();
}

fn a_stopped_container_changes_networks() {
    let t = Env::new();
    network(&t, &["one"]);
    t.rctr(["create", "--name", "later", "test/probe", "links"]).ok();
    t.rctr(["network", "connect", "one", "later"]).ok();
    t.rctr(["start", "-a", "later"]).ok().says("eth0\neth1\nlo\n");
    t.rctr(["network", "disconnect", "bridge", "later"]).ok();
    t.rctr(["network", "disconnect", "one", "later"]).ok();
    t.rctr(["start", "-a", "later"]).ok().says("lo\n");
    t.rctr(["create", "--name", "hosts", "--network", "host", "test/probe", "links"]).ok();
    t.rctr(["network", "connect", "one", "hosts"]).fails(125, &["its network is not its own"]);
    t.rctr(["network", "connect", "host", "later"]).fails(125, &["host"]);
    t.remove_all();
    t.rctr(["network", "rm", "one"]).ok();
    t.nothing_left();
}

fn a_killed_monitor_leaves_no_names() {
    let t = Env::new();
    network(&t, &["web"]);
    let id = listener(&t, &["--network", "web", "--name", "victim", "--network-alias", "v"]);
    let front = listener(&t, &["--network", "web"]);
    assert_eq!(found(&t, &front, "v"), address(&t, &id, "web"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", t.inspect(&id, "{{.State.Pid}}"))).expect("a process");
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|pid| pid.trim().parse().ok());
    let monitor = monitor.and_then(rustix::process::Pid::from_raw).expect("a parent");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("a monitor");
    t.rctr(["rm", "-f", "victim"]).ok();
    assert!(!found(&t, &front, "v").starts_with(|c: char| c.is_ascii_digit()), "its name is left");
    t.remove_all();
    t.rctr(["network", "rm", "web"]).ok();
    t.nothing_left();
}

fn rules_come_back_after_a_flush() {
    let t = Env::new();
    network(&t, &["web"]);
    let (one, two) = (crate::ports::free_port(), crate::ports::free_port());
    let a = listener(&t, &["-p", &format!("{one}:80")]);
    let b = listener(&t, &["--network", "web", "-p", &format!("127.0.0.1:{two}:80")]);
    // Only what is ours: others are at work on this host.
    let bridge = t.rctr(["network", "inspect", "-f", "{{index .Options \"com.docker.network.bridge.name\"}}", "web"]);
    for table in [t.bridge(), bridge.ok().text()] {
        let gone = std::process::Command::new("nft").args(["delete", "table", "ip", table]).status();
        assert!(gone.is_ok_and(|status| status.success()), "nft delete table ip {table}");
    }
    t.rctr(["network", "reload"]).ok().says("");
    crate::ports::expect(("127.0.0.1", one), "hello");
    crate::ports::expect(("127.0.0.1", two), "hello");
    t.rctr(["rm", "-f", &a, &b]).ok();
    t.rctr(["network", "rm", "web"]).ok();
    t.nothing_left();
}

fn a_new_name_is_known_at_once() {
    let t = Env::new();
    network(&t, &["ren"]);
    let asks = listener(&t, &["--network", "ren", "--name", "asks"]);
    let named = listener(&t, &["--network", "ren", "--name", "before", "--network-alias", "kept"]);
    let ip = address(&t, &named, "ren");
    t.rctr(["rename", "before", "after"]).ok();
    assert_eq!(found(&t, &asks, "after"), ip);
    assert_eq!(found(&t, &asks, "kept"), ip);
    assert!(!found(&t, &asks, "before").contains(&ip));
    // an alias of the old name stays, and all names go at the end
    t.rctr(["rename", "after", "kept"]).ok();
    t.rctr(["rename", "kept", "last"]).ok();
    assert_eq!((found(&t, &asks, "kept"), found(&t, &asks, "last")), (ip.clone(), ip.clone()));
    t.rctr(["rm", "-f", "last"]).ok();
    assert!(!found(&t, &asks, "last").contains(&ip) && !found(&t, &asks, "kept").contains(&ip));
    t.rctr(["rm", "-f", "asks"]).ok();
    t.rctr(["network", "rm", "ren"]).ok();
    t.nothing_left();
}
