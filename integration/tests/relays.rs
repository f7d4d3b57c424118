//! Ports that no rule for packets leads to a container, and the process that passes on what comes there: `[::1]`, and all of IPv6 where the
//! container has none.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use integration::env::{Env, Running, world};
use integration::lab::Wires;

use crate::networks::network;
use crate::ports::{expect, expect_refused, free_port};

integration::tests![
    on_the_ipv6_loopback,
    datagrams_on_the_ipv6_loopback,
    the_address_that_was_asked_answers,
    nobody_who_listens,
    every_address_of_ipv6_too,
    in_a_network_with_ipv6,
    through_restarts_and_other_networks,
    no_relay_for_some,
];

const LOOPBACK: Ipv6Addr = Ipv6Addr::LOCALHOST;

fn listener(t: &Env, args: &[&str]) -> String {
    let id = t.start(args.iter().copied().chain(["test/probe", "listen", "80", "hello"]));
    t.wait_for_log(&id, "listening");
    id
}

/// Asks and says that nothing more comes, before it reads the answer.
fn ask_half_closed(port: u16) -> String {
    let mut client = TcpStream::connect((LOOPBACK, port)).expect("connected");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").and_then(|()| client.shutdown(Shutdown::Write)).expect("sent");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The children of a container's monitor: its first process, and a relay while there is one.
fn children(t: &Env, id: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", t.inspect(id, "{{.State.Pid}}"))).expect("it runs");
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default().trim();
    let text = fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children")).expect("its monitor runs");
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn on_the_ipv6_loopback() {
    let t = Env::new();
    let port = free_port();
    let publish = format!("[::1]:{port}:80");
    let id = listener(&t, &["-p", &publish]);
    t.rctr(["port", &id]).ok().says(&format!("80/tcp -> [::1]:{port}\n"));
    t.rctr(["ps", "--format", "{{.Ports}}"]).ok().says(&format!("[::1]:{port}->80/tcp\n"));
    let shown = t.rctr(["inspect", "-f", "{{json .NetworkSettings.Ports}}", &id]);
    assert_eq!(shown.ok().json(), serde_json::json!({"80/tcp": [{"HostIp": "::1", "HostPort": port.to_string()}]}));
    let own = children(&t, &id);
    assert_eq!(own.len(), 1, "a port that nobody uses has no process");

    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| expect(("[::1]", port), "hello"));
        }
    });
    assert!(ask_half_closed(port).contains("hello"));
    expect_refused(("127.0.0.1", port));
    let relay: Vec<_> = children(&t, &id).into_iter().filter(|pid| !own.contains(pid)).collect();
    let status = fs::read_to_string(format!("/proc/{}/status", relay[0])).expect("a relay");
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().split_whitespace().nth(1);
    assert_eq!((relay.len(), line("Uid:"), line("CapEff:")), (1, Some("65534"), Some("0000000000000000")), "{status}");
    // One that dies is replaced.
    let pid = rustix::process::Pid::from_raw(relay[0] as i32).expect("a number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    expect(("[::1]", port), "hello");

    TcpListener::bind((LOOPBACK, port)).expect_err("the port is the container's");
    let second = t.rctr(["run", "--rm", "-p", &publish, "test/probe", "out", "x"]);
    second.fails(125, &[&format!("port {port}/tcp on ::1 is in use")]);
    t.rctr(["rm", "-f", &id]).ok();
    drop(TcpListener::bind((LOOPBACK, port)).expect("free again"));
    let id = listener(&t, &["-p", "[::1]::80"]);
    let found = t.rctr(["port", &id, "80"]);
    let found = found.ok().text().trim().strip_prefix("[::1]:").and_then(|port| port.parse().ok()).expect("a port");
    expect(("[::1]", found), "hello");
    t.rctr(["stop", "-t", "0", &id]).ok();
    drop(TcpListener::bind((LOOPBACK, found)).expect("free again"));
    t.remove_all();
    t.nothing_left();
}

fn datagrams_on_the_ipv6_loopback() {
    let t = Env::new();
    let port = free_port();
    let id = t.start(["-p", &format!("[::1]:{port}:5353/udp"), "test/probe", "echo-udp", "5353"]);
    t.wait_for_log(&id, "listening");
    for word in [b"ping", b"pong"] {
        let socket = UdpSocket::bind((LOOPBACK, 0)).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        socket.connect((LOOPBACK, port)).expect("an address");
        socket.send(word).expect("sent");
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).expect("an answer");
        assert_eq!(&buffer[..length], word);
    }
    UdpSocket::bind((LOOPBACK, port)).expect_err("the port is the container's");
    t.rctr(["rm", "-f", &id]).ok();
    drop(UdpSocket::bind((LOOPBACK, port)).expect("free again"));
    t.nothing_left();
}

/// A host with several addresses, in a network of its own, is asked by a neighbour who hears only whom it asks.
fn the_address_that_was_asked_answers() {
    const ASK: &str = "import socket, sys\ns = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\ns.settimeout(30)\n\
        s.connect((sys.argv[1], 5353, 0, int(sys.argv[2])))\ns.send(b'ping')\nprint(s.recv(16).decode())";
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let wires = Wires::make(&format!("{}r", t.bridge()), &[1, 1]);
    let ip = |number: usize, words: &[&str]| {
        let output = Command::new("ip").args(["-n", &wires.namespace(number)]).args(words).output().expect("ip (iproute2)");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (number, address) in [(1, "fd66::11/64"), (1, "fd66::99/64"), (1, "fd66::5/64"), (2, "fd66::12/64")] {
        ip(number, &["addr", "add", address, "dev", "eth0", "nodad"]);
    }
    let rctr = |words: &[&str]| {
        let mut command = wires.command(&t, 1, &world().rctr.display().to_string());
        command.args(words);
        Running::start(command).finish()
    };
    rctr(&["run", "-d", "--name", "echo", "-p", "[::]:5353:5353/udp", "test/probe", "echo-udp", "5353"]).ok();
    t.wait_for_log("echo", "listening");
    let ask = |address: &str, interface: &str| {
        let mut client = wires.command(&t, 2, "/usr/bin/python3");
        client.args(["-c", ASK, address, interface]);
        Running::start(client).finish().ok().says("ping\n");
    };
    for address in ["fd66::99", "fd66::11", "fd66::5"] {
        ask(address, "0");
    }
    // One that only the link has.
    let shown = ip(1, &["-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]);
    let link = shown.split_whitespace().skip_while(|word| *word != "inet6").nth(1).and_then(|net| net.split('/').next());
    let index = ip(2, &["-o", "link", "show", "dev", "eth0"]);
    t.soon("the link's address is usable", || {
        !ip(1, &["-6", "addr", "show", "dev", "eth0", "scope", "link"]).contains("tentative")
    });
    ask(link.expect("an address"), index.split(':').next().expect("a number"));
    rctr(&["rm", "-f", "echo"]).ok();
    drop(wires);
    t.nothing_left();
}

fn nobody_who_listens() {
    let t = Env::new();
    let port = free_port();
    let id = t.start(["-p", &format!("[::1]:{port}:80"), "test/probe", "sleep"]);
    let mut client = TcpStream::connect((LOOPBACK, port)).expect("connected");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    let error = client.read(&mut [0]).expect_err("nobody answers");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn every_address_of_ipv6_too() {
    let t = Env::new();
    let (port, four, six) = (free_port(), free_port(), free_port());
    let flags = [format!("{port}:80"), format!("0.0.0.0:{four}:80"), format!("[::]:{six}:80")];
    let id = listener(&t, &["-p", &flags[0], "-p", &flags[1], "-p", &flags[2]]);
    expect(("127.0.0.1", port), "hello");
    expect(("[::1]", port), "hello");
    expect(("127.0.0.1", four), "hello");
    expect_refused(("::1", four));
    expect(("[::1]", six), "hello");
    expect_refused(("127.0.0.1", six));
    let shown = t.rctr(["port", &id]);
    let expected = [format!("0.0.0.0:{port}"), format!("0.0.0.0:{four}"), format!("[::]:{port}"), format!("[::]:{six}")];
    let mut lines = shown.ok().lines();
    lines.sort_unstable();
    let mut expected: Vec<_> = expected.iter().map(|address| format!("80/tcp -> {address}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    // The last way out is that process: it is not in the way of the rules being made again.
    t.rctr(["network", "reload"]).ok();
    expect(("[::1]", port), "hello");
    expect(("127.0.0.1", port), "hello");
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn in_a_network_with_ipv6() {
    let t = Env::new();
    let (port, own) = (free_port(), free_port());
    network(&t, &["--ipv6", "six"]);
    let flags = [format!("{port}:80"), format!("[::1]:{own}:80")];
    let script = "mkdir /www; echo hello >/www/index.html; echo ready; exec httpd -f -p '[::]:80' -h /www";
    let id = t.start(["--network", "six", "-p", &flags[0], "-p", &flags[1], "busybox", "sh", "-c", script]);
    t.wait_for_log(&id, "ready");
    t.soon("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    expect(("127.0.0.1", port), "hello");
    expect(("[::1]", port), "hello");
    expect(("[::1]", own), "hello");
    t.rctr(["rm", "-f", &id]).ok();
    t.rctr(["network", "rm", "six"]).ok();
    t.nothing_left();
}

fn through_restarts_and_other_networks() {
    let t = Env::new();
    let port = free_port();
    network(&t, &["other"]);
    let id = listener(&t, &["--restart", "always", "-p", &format!("[::1]:{port}:80")]);
    expect(("[::1]", port), "hello");
    t.rctr(["network", "connect", "other", &id]).ok();
    expect(("[::1]", port), "hello");
    t.rctr(["network", "disconnect", "bridge", &id]).ok();
    expect(("[::1]", port), "hello");
    t.rctr(["restart", "-t", "0", &id]).ok();
    t.soon("it listens", || ask(port));
    let pid = t.inspect(&id, "{{.State.Pid}}").parse().ok().and_then(rustix::process::Pid::from_raw).expect("it runs");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    t.soon("it is started again, and listens", || t.inspect(&id, "{{.RestartCount}}") == "1" && ask(port));
    let next = free_port();
    t.rctr(["update", "--publish-rm", "80", "-p", &format!("[::1]:{next}:80"), &id]).ok();
    t.rctr(["restart", "-t", "0", &id]).ok();
    t.soon("it listens at the other port", || ask(next));
    expect_refused(("::1", port));
    t.remove_all();
    t.rctr(["network", "rm", "other"]).ok();
    t.nothing_left();
}

/// Whether the container answers now.
fn ask(port: u16) -> bool {
    integration::http::get(format!("[::1]:{port}"), "/").is_ok_and(|answer| answer.text().starts_with("hello"))
}

fn no_relay_for_some() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let run = |publish: &str| t.rctr(["run", "--rm", "-p", publish, "test/probe", "out", "x"]);
    run("[::1]:2905:80/sctp").fails(125, &["80/sctp cannot be published on ::1", "SCTP is not relayed"]);
    run("[::1]:20000-20100:20000-20100").fails(125, &["101 ports", "100 can be"]);
    run("[2001:db8::77]:2905:80").fails(125, &["2001:db8::77", "this host has no such address"]);
    t.nothing_left();
}
