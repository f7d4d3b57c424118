//! Addresses and published ports: from localhost, from the host's own address, from outside, between containers.

use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use integration::env::Env;
use integration::http;

integration::tests![
    published_on_every_address,
    published_on_one_address,
    published_udp,
    any_free_port,
    several_ports,
    taken_port_is_named,
    port_is_free_again,
    from_outside,
    to_the_outside,
    between_containers,
    to_a_published_port_of_ones_own,
    addresses_are_unique_and_reused,
    shown_by_ps_and_inspect,
    bad_ports_are_refused,
    thousands_of_them,
];

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Asserts that a `probe listen` answers `text` there, and returns whom it saw asking.
#[track_caller]
pub(crate) fn expect(address: (&str, u16), text: &str) -> String {
    let answer = http::get(format!("{}:{}", address.0, address.1), "/").unwrap_or_else(|error| panic!("{error:#}"));
    let body = answer.text();
    let peer = body.strip_prefix(text).unwrap_or_else(|| panic!("expected {text:?} from {address:?}: {body:?}"));
    peer.trim().to_owned()
}

/// Asserts that nobody listens there.
#[track_caller]
pub(crate) fn expect_refused(address: (&str, u16)) {
    let ip: IpAddr = address.0.parse().expect("an address");
    let connected = TcpStream::connect_timeout(&(ip, address.1).into(), Duration::from_secs(3));
    assert!(connected.is_err(), "somebody listens on {address:?}");
}

/// The host's own address on the test's bridge: an address of the host that is not loopback.
fn host_address(t: &Env) -> String {
    let output = Command::new("ip").args(["-4", "-o", "addr", "show", "dev", t.bridge()]).output().expect("ip (iproute2)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1).unwrap_or_else(|| panic!("no address: {text}"));
    address.split('/').next().unwrap_or_default().to_owned()
}

fn listener(t: &Env, publish: &str) -> String {
    let id = t.start(["-p", publish, "test/probe", "listen", "80", "hello"]);
    t.wait_for_log(&id, "listening");
    id
}

fn end(t: &Env, id: &str) {
    t.rctr(["rm", "-f", id]).ok();
    t.nothing_left();
}

fn published_on_every_address() {
    let t = Env::new();
    let port = free_port();
    let id = listener(&t, &format!("{port}:80"));
    expect(("127.0.0.1", port), "hello");
    expect((&host_address(&t), port), "hello");
    let inside = t.inspect(&id, "{{.NetworkSettings.IPAddress}}");
    expect((&inside, 80), "hello");
    end(&t, &id);
    expect_refused(("127.0.0.1", port));
}

fn published_on_one_address() {
    let t = Env::new();
    let port = free_port();
    let id = listener(&t, &format!("127.0.0.1:{port}:80/tcp"));
    expect(("127.0.0.1", port), "hello");
    expect_refused((&host_address(&t), port));
    expect_refused(("127.0.0.2", port));
    end(&t, &id);
}

fn published_udp() {
    let t = Env::new();
    let port = free_port();
    let id = t.start(["-p", &format!("{port}:5353/udp"), "test/probe", "echo-udp", "5353"]);
    t.wait_for_log(&id, "listening");
    for address in ["127.0.0.1".to_owned(), host_address(&t)] {
        let socket = UdpSocket::bind((if address == "127.0.0.1" { "127.0.0.1" } else { "0.0.0.0" }, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        socket.connect((address.as_str(), port)).expect("an address");
        socket.send(b"ping").expect("sent");
        let mut buffer = [0; 16];
        let len = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("from {address}: {error}"));
        assert_eq!(&buffer[..len], b"ping");
    }
    end(&t, &id);
}

fn any_free_port() {
    let t = Env::new();
    let id = listener(&t, "80");
    let port = t.inspect(&id, "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}");
    expect(("127.0.0.1", port.parse().expect("a port")), "hello");
    end(&t, &id);
}

fn several_ports() {
    let t = Env::new();
    let (one, two) = (free_port(), free_port());
    let publish = [format!("{one}:80"), format!("127.0.0.1:{two}:80")];
    let id = t.start(["-p", &publish[0], "-p", &publish[1], "test/probe", "listen", "80", "hello"]);
    t.wait_for_log(&id, "listening");
    expect(("127.0.0.1", one), "hello");
    expect(("127.0.0.1", two), "hello");
    end(&t, &id);
}

fn taken_port_is_named() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let mine = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = mine.local_addr().expect("an address").port();
    let publish = format!("{port}:80");
    t.rctr(["run", "--rm", "-p", &publish, "test/probe", "out", "x"]).fails(125, &[&port.to_string(), "in use"]);
    t.nothing_left();
    // and by another container
    drop(mine);
    listener(&t, &publish);
    t.rctr(["run", "-d", "--name", "second", "-p", &publish, "test/probe", "out", "x"]).fails(125, &[&port.to_string(), "in use"]);
    expect(("127.0.0.1", port), "hello");
    t.remove_all();
    t.nothing_left();
}

fn port_is_free_again() {
    let t = Env::new();
    let port = free_port();
    for _ in 0..3 {
        let id = listener(&t, &format!("{port}:80"));
        expect(("127.0.0.1", port), "hello");
        end(&t, &id);
        drop(TcpListener::bind(("0.0.0.0", port)).expect("free again"));
    }
}

/// Another machine: a network namespace with its own link to this one.
struct Outside {
    name: String,
    host: String,
    address: String,
}

impl Outside {
    fn new(t: &Env) -> Self {
        let name = format!("{}-out", t.bridge());
        let link = format!("{}o", t.bridge());
        let (host, address) = ("198.51.100.1".to_owned(), "198.51.100.2".to_owned());
        let outside = Self { name, host, address };
        let Self { name, host, address } = &outside;
        for words in [
            format!("netns add {name}"),
            format!("link add {link} type veth peer name eth0 netns {name}"),
            format!("addr add {host}/24 dev {link}"),
            format!("link set {link} up"),
            format!("-n {name} addr add {address}/24 dev eth0"),
            format!("-n {name} link set eth0 up"),
            format!("-n {name} link set lo up"),
        ] {
            let status = Command::new("ip").args(words.split(' ')).status().expect("ip (iproute2)");
            assert!(status.success(), "ip {words}");
        }
        outside
    }

    fn command(&self, t: &Env, words: &[&str]) -> integration::env::Running {
        let mut command = t.command("ip");
        command.args(["netns", "exec", &self.name]).arg(integration::debian::program("probe").expect("the probe")).args(words);
        integration::env::Running::start(command)
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

fn from_outside() {
    let t = Env::new();
    let port = free_port();
    let outside = Outside::new(&t);
    let id = listener(&t, &format!("{port}:80"));
    let asked = outside.command(&t, &["connect", &format!("{}:{port}", outside.host)]).finish();
    // the service sees who asks: published ports do not hide it
    asked.ok().says(&format!("hello {}\n", outside.address));
    drop(outside);
    t.soon("the outside is gone", || !t.left().iter().any(|thing| thing.starts_with("interface") && thing.ends_with('o')));
    end(&t, &id);
}

fn to_the_outside() {
    let t = Env::new();
    let outside = Outside::new(&t);
    let mut server = outside.command(&t, &["listen", "8000", "outside"]);
    server.wait_for("listening");
    // masqueraded: the outside has no way back to a container's address
    let asked = t.rctr(["run", "--rm", "test/probe", "connect", &format!("{}:8000", outside.address)]);
    asked.ok().says(&format!("outside {}\n", outside.host));
    server.kill();
}

fn between_containers() {
    let t = Env::new();
    let id = t.start(["test/probe", "listen", "80", "hello"]);
    t.wait_for_log(&id, "listening");
    let address = t.inspect(&id, "{{.NetworkSettings.IPAddress}}");
    let asked = t.rctr(["run", "--rm", "test/probe", "connect", &format!("{address}:80")]);
    // not masqueraded: containers see each other's own addresses
    let peer = asked.ok().text().strip_prefix("hello ").unwrap_or_default();
    let gateway = t.inspect(&id, "{{.NetworkSettings.Gateway}}");
    let net = |address: &str| address.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    assert!(peer != address && peer != gateway && net(peer) == net(&address), "{asked}");
    end(&t, &id);
}

fn to_a_published_port_of_ones_own() {
    let t = Env::new();
    let port = free_port();
    let id = listener(&t, &format!("{port}:80"));
    let gateway = host_address(&t);
    let asked = t.rctr(["exec", &id, "/probe", "connect", &format!("{gateway}:{port}")]);
    asked.ok().has("hello");
    let other = t.rctr(["run", "--rm", "test/probe", "connect", &format!("{gateway}:{port}")]);
    other.ok().has("hello");
    end(&t, &id);
}

fn addresses_are_unique_and_reused() {
    let t = Env::new();
    let ids: Vec<_> = (0..8).map(|_| t.start(["test/probe", "sleep"])).collect();
    let mut addresses: Vec<_> = ids.iter().map(|id| t.inspect(id, "{{.NetworkSettings.IPAddress}}")).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 8);
    assert!(!addresses.contains(&host_address(&t)));
    t.rctr(["rm".to_owned(), "-f".to_owned()].into_iter().chain(ids)).ok();
    t.nothing_left();
}

fn shown_by_ps_and_inspect() {
    let t = Env::new();
    let port = free_port();
    let id = listener(&t, &format!("127.0.0.1:{port}:80"));
    t.rctr(["ps", "--format", "{{.Ports}}"]).ok().says(&format!("127.0.0.1:{port}->80/tcp\n"));
    let bindings = t.rctr(["inspect", "-f", "{{json .NetworkSettings.Ports}}", &id]);
    assert_eq!(bindings.ok().json(), serde_json::json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]}));
    let bridge = t.rctr(["inspect", "-f", "{{json .NetworkSettings}}", &id]);
    let bridge = bridge.ok().json();
    assert_eq!(bridge["Gateway"], host_address(&t));
    assert_eq!(bridge["Networks"]["bridge"]["IPAddress"], bridge["IPAddress"]);
    assert!(bridge["MacAddress"].as_str().is_some_and(|mac| mac.len() == 17), "{bridge}");
    end(&t, &id);
}

fn bad_ports_are_refused() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    for bad in ["99999:80", "x:80", "80:80/icmp", "1.2.3:80:80", ""] {
        let run = t.rctr(["run", "--rm", "-p", bad, "test/probe", "out", "x"]);
        run.code(125).says("");
    }
    // an address that is not this host's
    t.rctr(["run", "--rm", "-p", "203.0.113.9:8080:80", "test/probe", "out", "x"]).fails(125, &["203.0.113.9"]);
    t.nothing_left();
}

/// On an address of loopback that nobody else uses.
fn thousands_of_them() {
    let t = Env::new();
    let ports = "127.0.0.77:20000-22999:20000-22999";
    let id = t.start(["-p", ports, "busybox", "sh", "-c", "echo here | nc -l -p 22999; sleep 1000"]);
    assert_eq!(t.rctr(["port", &id]).ok().lines().len(), 3000);
    // Held, though no descriptor of a process is one of them.
    assert!(std::net::TcpListener::bind("127.0.0.77:21500").is_err(), "a port is free");
    t.rctr(["run", "--rm", "-p", "127.0.0.77:22999:80", "busybox", "true"]).fails(125, &["127.0.0.77", "22999"]);
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}
