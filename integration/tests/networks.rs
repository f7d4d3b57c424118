//! Networks of one's own: made, listed, used by several containers, removed.

use integration::env::Env;
use integration::output::Output;
use serde_json::json;

use crate::ports::{expect, free_port};

integration::tests![
    a_network_from_making_to_removal,
    addresses_as_asked_for,
    isolation_between_networks,
    several_networks_in_one_container,
    the_network_of_another_container,
    internal_networks_lead_nowhere,
    networks_that_cannot_be,
    a_network_in_use_stays,
    a_network_that_is_gone,
    pruning_leaves_what_is_used,
];

/// Makes a network, which goes with the environment.
#[track_caller]
pub(crate) fn network(t: &Env, args: &[&str]) -> String {
    let made = t.rctr(["network", "create"].iter().chain(args));
    made.ok().text().to_owned()
}

/// Said by the verb or by the reader of the command line: a line that has `why`, and not much more.
#[track_caller]
fn refused(output: &Output, why: &str) {
    output.code(125).says("");
    assert!(output.stderr.contains(why) && output.stderr.len() < 1000, "expected {why:?}\n{output}");
}

#[track_caller]
fn listener(t: &Env, args: &[&str]) -> String {
    let words = args.iter().copied().chain(["test/probe", "listen", "80", "hello"]);
    let id = t.start(words);
    t.wait_for_log(&id, "listening");
    id
}

#[track_caller]
fn address(t: &Env, id: &str, network: &str) -> String {
    t.inspect(id, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}"))
}

fn interfaces() -> Vec<String> {
    let all = std::fs::read_dir("/sys/class/net").expect("sysfs").flatten();
    all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn a_network_from_making_to_removal() {
    let t = Env::new();
    let id = network(&t, &["--label", "tier=web", "--opt", "mtu=1400", "web"]);
    assert_eq!(id.len(), 64);
    t.rctr(["network", "create", "web"]).fails(125, &["network web exists already"]);
    let listed = t.rctr(["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"]);
    listed.ok().says("bridge bridge local\nhost host local\nnone null local\nweb bridge local\n");
    t.rctr(["network", "ls", "-q", "--filter", "label=tier=web"]).ok().says(&format!("{}\n", &id[..12]));
    t.rctr(["network", "ls"]).ok().has("NETWORK ID     NAME");
    let container = listener(&t, &["--network", "web", "--name", "one"]);
    let shown = t.rctr(["network", "inspect", &id[..8]]);
    let shown = &shown.ok().json()[0];
    assert_eq!((&shown["Name"], &shown["Driver"], &shown["Internal"]), (&json!("web"), &json!("bridge"), &json!(false)));
    assert_eq!(shown["Labels"], json!({"tier": "web"}));
    assert_eq!(shown["Options"]["mtu"], json!("1400"));
    let ip = address(&t, &container, "web");
    assert_eq!(shown["Containers"][&container]["IPv4Address"], json!(format!("{ip}/24")));
    assert_eq!(shown["Containers"][&container]["Name"], json!("one"));
    expect((&ip, 80), "hello");
    assert_eq!(t.inspect(&container, "{{.HostConfig.NetworkMode}}"), "web");
    t.rctr(["ps", "--filter", "network=web", "--format", "{{.Names}} {{.Networks}}"]).ok().says("one web\n");
    t.rctr(["exec", "one", "/probe", "read", "/sys/class/net/eth0/mtu"]).ok().says("1400\n");
    let bridge = format!("rctr-{}", &id[..10]);
    assert!(interfaces().contains(&bridge));
    t.rctr(["rm", "-f", "one"]).ok();
    t.rctr(["network", "rm", "web"]).ok().says("web\n");
    assert!(!interfaces().contains(&bridge), "the bridge is left");
    t.rctr(["network", "rm", "web"]).fails(125, &["no such network: web"]);
    t.rctr(["network", "rm", "-f", "web"]).ok().says("");
    t.nothing_left();
}

fn addresses_as_asked_for() {
    let t = Env::new();
    network(&t, &["--subnet", "10.251.7.0/24", "--gateway", "10.251.7.254", "--ip-range", "10.251.7.64/27", "--ipv6", "own"]);
    let id = listener(&t, &["--network", "own:ip=10.251.7.9,mac=02:00:00:00:07:09", "--name", "asked"]);
    assert_eq!(address(&t, &id, "own"), "10.251.7.9");
    let state = t.rctr(["inspect", "-f", "{{json .NetworkSettings.Networks.own}}", &id]);
    let state = state.ok().json();
    assert_eq!((&state["Gateway"], &state["MacAddress"]), (&json!("10.251.7.254"), &json!("02:00:00:00:07:09")));
    assert_eq!((&state["GlobalIPv6PrefixLen"], &state["IPAMConfig"]["IPv4Address"]), (&json!(64), &json!("10.251.7.9")));
    let v6 = state["GlobalIPv6Address"].as_str().unwrap_or_default().to_owned();
    assert!(v6.starts_with("fd"), "{state}");
    t.rctr(["exec", &id, "/probe", "read", "/etc/hosts"]).ok().has(&format!("{v6}\t{}", &id[..12]));
    let other = listener(&t, &["--network", "own"]);
    let ip = address(&t, &other, "own");
    let last: u8 = ip.rsplit('.').next().and_then(|part| part.parse().ok()).unwrap_or_default();
    assert!((64..96).contains(&last), "{ip}");
    for (flags, why) in [
        (["--ip", "10.251.7.9"], "address 10.251.7.9 is in use by container"),
        (["--ip", "10.251.8.9"], "it is not within the network"),
        (["--ip", "10.251.7.254"], "it is the gateway's"),
        (["--ip6", "fd00::1"], "it is not within the network"),
        (["--mac-address", "01:00:00:00:00:01"], "it is that of a group"),
        (["--link", "asked"], "links are not supported"),
    ] {
        let run = t.rctr(["run", "--rm", "--network", "own"].iter().chain(&flags).chain(&["test/probe", "out", "x"]));
        refused(&run, why);
    }
    t.rctr(["run", "--rm", "--network-alias", "x", "test/probe", "out", "x"]).fails(125, &["aliases need a network of your own"]);
    t.remove_all();
    t.rctr(["network", "rm", "own"]).ok();
    t.nothing_left();
}

fn isolation_between_networks() {
    let t = Env::new();
    let port = free_port();
    network(&t, &["one"]);
    network(&t, &["two"]);
    let a = listener(&t, &["--network", "one", "-p", &format!("{port}:80")]);
    let b = listener(&t, &["--network", "two"]);
    let plain = listener(&t, &[]);
    let (of_a, of_b, of_plain) = (address(&t, &a, "one"), address(&t, &b, "two"), address(&t, &plain, "bridge"));
    for (from, to) in [(&a, &of_b), (&b, &of_a), (&plain, &of_a), (&a, &of_plain)] {
        t.rctr(["exec", from, "/probe", "reach", &format!("{to}:80")]).ok().has("not reached");
    }
    let neighbour = listener(&t, &["--network", "one"]);
    t.rctr(["exec", &neighbour, "/probe", "connect", &format!("{of_a}:80")]).ok().has("hello");
    expect(("127.0.0.1", port), "hello");
    t.remove_all();
    t.rctr(["network", "rm", "one", "two"]).ok().says("one\ntwo\n");
    t.nothing_left();
}

fn several_networks_in_one_container() {
    let t = Env::new();
    network(&t, &["front"]);
    network(&t, &["--internal", "back"]);
    let both = listener(&t, &["--network", "back", "--network", "front:interface_name=lan7", "--name", "both"]);
    let db = listener(&t, &["--network", "back"]);
    for network in ["back", "front"] {
        expect((&address(&t, &both, network), 80), "hello");
    }
    let ask = format!("{}:80", address(&t, &db, "back"));
    t.rctr(["exec", "both", "/probe", "connect", &ask]).ok().has("hello");
    t.rctr(["exec", "both", "/probe", "read", "/sys/class/net/lan7/operstate"]).ok().says("up\n");
    let hosts = t.rctr(["exec", "both", "/probe", "read", "/etc/hosts"]);
    assert_eq!(hosts.ok().text().lines().filter(|line| line.ends_with(&both[..12])).count(), 2, "{hosts}");
    t.rctr(["ps", "-f", "name=both", "--format", "{{.Networks}}"]).ok().says("back,front\n");
    t.remove_all();
    t.rctr(["network", "rm", "front", "back"]).ok();
    t.nothing_left();
}

fn the_network_of_another_container() {
    let t = Env::new();
    let first = listener(&t, &["--name", "first"]);
    let asked = t.rctr(["run", "--rm", "--network", "container:first", "test/probe", "connect", "127.0.0.1:80"]);
    asked.ok().has("hello");
    let name = t.rctr(["run", "--rm", "--network", "container:first", "test/probe", "read", "/etc/hostname"]);
    name.ok().says(&format!("{}\n", &first[..12]));
    let run = |args: &[&str]| t.rctr(["run", "--rm"].iter().chain(args).chain(&["test/probe", "out", "x"]));
    run(&["--network", "container:nobody"]).fails(125, &["no such container: nobody"]);
    run(&["--network", "container:first", "-p", "80"]).fails(125, &["-p cannot go with --network container"]);
    run(&["--network", "container:first", "-h", "x"]).fails(125, &["--hostname cannot go with --network container"]);
    t.rctr(["stop", "-t", "0", "first"]).ok();
    run(&["--network", "container:first"]).fails(125, &["container first is not running"]);
    t.rctr(["rm", "first"]).ok();
    t.nothing_left();
}

fn internal_networks_lead_nowhere() {
    let t = Env::new();
    network(&t, &["--internal", "closed"]);
    let id = listener(&t, &["--network", "closed", "-p", "80"]);
    assert_eq!(t.inspect(&id, "{{(index .NetworkSettings.Networks \"closed\").Gateway}}"), "");
    t.rctr(["port", &id]).ok().says("");
    t.rctr(["exec", &id, "/probe", "reach", "198.51.100.77:80"]).ok().has("unreachable");
    t.remove_all();
    t.rctr(["network", "rm", "closed"]).ok();
    t.nothing_left();
}

fn networks_that_cannot_be() {
    let t = Env::new();
    network(&t, &["--subnet", "10.251.9.0/24", "first"]);
    let long = "n".repeat(5000);
    for (args, why) in [
        (&["--subnet", "10.251.0.0/16", "x"][..], "subnet 10.251.0.0/16: it overlaps 10.251.9.0/24 of network first"),
        (
            &["--subnet", "10.251.10.0/24", "--gateway", "10.251.11.1", "x"],
            "--gateway 10.251.11.1: it is not within 10.251.10.0/24",
        ),
        (&["--subnet", "10.251.10.0", "x"], "the form is 10.1.2.0/24"),
        (&["--opt", "vlan=7", "x"], "network option \"vlan\" is not known"),
        (&["--opt", "mtu=a", "x"], "its value is a number"),
        (&["--driver", "overlay", "x"], "there is no driver \"overlay\""),
        (&["--opt", "com.docker.network.bridge.name=../x", "x"], "its value is an interface name"),
        (&["--scope", "swarm", "x"], "there is no scope"),
        (&["--ipam-driver", "dhcp", "x"], "there is no driver \"dhcp\""),
        (&["a/b"], "network name \"a/b\""),
        (&["bridge"], "it means something else"),
        (&[&long], "use at most 128"),
    ] {
        let made = t.rctr(["network", "create"].iter().chain(args));
        refused(&made, why);
    }
    t.rctr(["network", "rm", "bridge"]).fails(125, &["it is always there"]);
    refused(&t.rctr(["network", "ls", "--filter", "colour=red"]), "there is no filter");
    t.rctr(["pull", "-q", "test/probe"]).ok();
    t.rctr(["run", "--rm", "--network", "nobody", "test/probe", "out", "x"]).fails(125, &["no such network: nobody"]);
    t.rctr(["network", "rm", "first"]).ok();
    let files: Vec<_> = std::fs::read_dir(t.root().join("networks")).expect("a folder").flatten().collect();
    assert!(files.iter().all(|file| file.file_name().to_string_lossy().starts_with(t.bridge())), "{files:?}");
    t.nothing_left();
}

fn a_network_in_use_stays() {
    let t = Env::new();
    network(&t, &["busy"]);
    listener(&t, &["--network", "busy", "--name", "user-a"]);
    listener(&t, &["--network", "busy", "--name", "user-b"]);
    t.rctr(["network", "rm", "busy"]).fails(125, &["network busy is in use by user-a, user-b"]);
    t.rctr(["kill", "user-a"]).ok();
    t.soon("user-a has ended", || t.inspect("user-a", "{{.State.Running}}") == "false");
    t.rctr(["network", "rm", "busy"]).fails(125, &["network busy is in use by user-b"]);
    t.remove_all();
    t.rctr(["network", "rm", "busy"]).ok();
    t.nothing_left();
}

fn a_network_that_is_gone() {
    let t = Env::new();
    network(&t, &["gone"]);
    t.rctr(["create", "--name", "late", "--network", "gone", "test/probe", "out", "x"]).ok();
    t.rctr(["network", "rm", "gone"]).ok();
    t.rctr(["start", "late"]).fails(125, &["no such network: gone"]);
    network(&t, &["gone"]);
    t.rctr(["start", "-a", "late"]).ok().says("x\n");
    t.rctr(["rm", "late"]).ok();
    t.rctr(["network", "rm", "gone"]).ok();
    t.nothing_left();
}

fn pruning_leaves_what_is_used() {
    let t = Env::new();
    network(&t, &["used"]);
    network(&t, &["--label", "keep", "kept"]);
    network(&t, &["unused"]);
    t.rctr(["create", "--network", "used", "test/probe", "out", "x"]).ok();
    t.rctr(["network", "ls", "-f", "dangling=true", "--format", "{{.Name}}"]).ok().says("kept\nunused\n");
    t.rctr(["network", "prune"]).fails(125, &["nobody is there to ask"]);
    t.rctr(["network", "prune", "-f", "--filter", "label!=keep"]).ok().says("Deleted Networks:\nunused\n\n");
    t.remove_all();
    t.rctr(["network", "prune", "-f"]).ok().says("Deleted Networks:\nkept\nused\n\n");
    t.nothing_left();
}
