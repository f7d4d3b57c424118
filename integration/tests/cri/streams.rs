//! Streams: exec, attach and port-forward, at addresses that work once.

use cri::{
    AttachRequest, ContainerState, ExecRequest, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PortForwardRequest,
};
use tonic::Code;

use super::asking::*;
use super::images::pull;
use super::node::{Node, is_another};
use super::socket::Socket;

integration::tests![
    a_process_is_fed_and_heard,
    a_terminal_has_a_size,
    a_client_that_goes_ends_its_process,
    a_container_is_attached_to,
    a_stream_ends_with_the_daemon,
    ports_are_forwarded,
    ports_of_the_host_are_forwarded,
    addresses_work_once,
    what_makes_no_sense_is_refused,
];

/// Channels of `v4.channel.k8s.io`.
const V4: &str = "v4.channel.k8s.io";

fn exec(n: &Node, id: &str, script: &str, tty: bool) -> Socket {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    let request = ExecRequest { container_id: id.to_owned(), cmd, tty, stdin: true, stdout: true, stderr: !tty };
    Socket::open(&n.ok(n.containers().exec(request)).url, V4).expect("a stream")
}

fn a_process_is_fed_and_heard() {
    let n = Node::start();
    let (pod, id) = started(&n, "stream", SLEEP);
    let mut socket = exec(&n, &id, "read a; echo got $a; echo err >&2; exit 4", false);
    socket.send(0, b"hello\n");
    let [_, stdout, stderr, error] = socket.all();
    assert_eq!((stdout.as_slice(), stderr.as_slice()), (&b"got hello\n"[..], &b"err\n"[..]));
    let error = String::from_utf8_lossy(&error).into_owned();
    assert!(error.contains("NonZeroExitCode") && error.contains("\"4\""), "{error}");
    // More than fits anywhere at once.
    let mut socket = exec(&n, &id, "head -c 3000000 /dev/zero; wc -c >&2 < /dev/null", false);
    assert_eq!(socket.all()[1].len(), 3_000_000);
    remove_pod(&n, &pod);
}

fn a_terminal_has_a_size() {
    let n = Node::start();
    let (pod, id) = started(&n, "tty", SLEEP);
    let mut socket = exec(&n, &id, "while [ \"$(stty size)\" != '33 77' ]; do sleep 0.05; done; echo sized", true);
    socket.send(4, br#"{"Width":77,"Height":33}"#);
    socket.wait_for(1, "sized");
    remove_pod(&n, &pod);
}

fn a_client_that_goes_ends_its_process() {
    let n = Node::own("");
    let (pod, id) = started(&n, "gone", SLEEP);
    let mut socket = exec(&n, &id, "echo ready; exec sleep 4321", false);
    socket.wait_for(1, "ready");
    assert!(says(&n, &id, "ps").contains("sleep 4321"));
    drop(socket);
    n.env.soon("it is gone", || !says(&n, &id, "ps").contains("sleep 4321"));
    // So does one that does not read what it is sent.
    let mut socket = exec(&n, &id, "echo ready; exec sleep 4322", false);
    socket.wait_for(1, "ready");
    socket.fill(0);
    assert!(says(&n, &id, "ps").contains("sleep 4322"));
    drop(socket);
    n.env.soon("it is gone", || !says(&n, &id, "ps").contains("sleep 4322"));
    remove_pod(&n, &pod);
}

fn a_container_is_attached_to() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "attach");
    let pod = run(&n, &pod_config);
    let mut config = config("main", "while read line; do echo got $line; done; echo done; sleep 0.2");
    (config.stdin, config.stdin_once) = (true, true);
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let request = AttachRequest { container_id: id.clone(), stdin: true, tty: false, stdout: true, stderr: true };
    let mut socket = Socket::open(&n.ok(n.containers().attach(request.clone())).url, V4).expect("a stream");
    socket.send(0, b"one\n");
    socket.wait_for(1, "got one");
    // It stays when a client goes.
    let mut second = Socket::open(&n.ok(n.containers().attach(request)).url, V4).expect("a stream");
    second.send(0, b"two\n");
    second.wait_for(1, "got two");
    // Both end with the container.
    stop(&n, &id, 0);
    assert!([socket, second].iter_mut().all(|client| client.all()[3].starts_with(b"{")));
    remove_pod(&n, &pod);
}

fn a_stream_ends_with_the_daemon() {
    let mut n = Node::own("");
    let (pod, id) = started(&n, "outlives", "while :; do echo again; sleep 0.05; done");
    let request = AttachRequest { container_id: id.clone(), stdin: false, tty: false, stdout: true, stderr: true };
    let mut socket = Socket::open(&n.ok(n.containers().attach(request)).url, V4).expect("a stream");
    socket.wait_for(1, "again");
    n.stop().code(0);
    socket.all();
    n.begin();
    assert_eq!(status(&n, &id).state, i32::from(ContainerState::ContainerRunning));
    remove_pod(&n, &pod);
}

fn ports_are_forwarded() {
    let n = Node::start();
    let (pod, id) = started(&n, "forward", "echo page > /tmp/page; httpd -f -h /tmp -p 127.0.0.1:8080");
    n.env.soon("it listens", || sh(&n, &id, "wget -q -O- http://127.0.0.1:8080/page").exit_code == 0);
    let request = PortForwardRequest { pod_sandbox_id: pod.clone(), port: vec![8080, 9] };
    let mut socket = Socket::open(&n.ok(n.containers().port_forward(request)).url, V4).expect("a stream");
    // Each channel says its port first.
    for _ in 0..4 {
        let (_, port) = socket.next().expect("a port");
        assert!(port == 8080u16.to_le_bytes() || port == 9u16.to_le_bytes(), "{port:?}");
        if port == 9u16.to_le_bytes() {
            continue;
        }
    }
    socket.send(0, b"GET /page HTTP/1.0\r\n\r\n");
    let (mut page, mut refused) = (String::new(), String::new());
    while !(page.contains("page\n") && refused.contains("port 9")) {
        let (channel, bytes) = socket.next().unwrap_or_else(|| panic!("ended: {page:?} {refused:?}"));
        match channel {
            0 => page += &String::from_utf8_lossy(&bytes),
            3 => refused += &String::from_utf8_lossy(&bytes),
            _ => {}
        }
    }
    remove_pod(&n, &pod);
}

fn ports_of_the_host_are_forwarded() {
    let n = Node::start();
    let mut config = pod_config(&n, "forward-host");
    config.hostname = String::new();
    let options = NamespaceOption { network: NamespaceMode::Node.into(), ..Default::default() };
    config.linux.as_mut().expect("linux").security_context =
        Some(LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() });
    let pod = run(&n, &config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let request = PortForwardRequest { pod_sandbox_id: pod.clone(), port: vec![port.into()] };
    let mut socket = Socket::open(&n.ok(n.containers().port_forward(request)).url, V4).expect("a stream");
    let (mut stream, _) = listener.accept().expect("a connection");
    std::io::Write::write_all(&mut stream, b"from the host").expect("sent");
    socket.wait_for(0, "from the host");
    remove_pod(&n, &pod);
}

fn addresses_work_once() {
    let n = Node::own("");
    let (pod, id) = started(&n, "token", SLEEP);
    let request =
        ExecRequest { container_id: id, cmd: vec!["true".to_owned()], tty: false, stdin: false, stdout: true, stderr: false };
    let url = n.ok(n.containers().exec(request)).url;
    let token = url.rsplit('/').next().expect("a token");
    assert!(url.starts_with("http://127.0.0.1:") && token.len() == 32, "{url}");
    Socket::open(&url, V4).expect("a stream").all();
    for used in [url.clone(), url.replace("/exec/", "/attach/"), format!("{}{}", &url[..url.len() - 32], "0".repeat(32))] {
        assert!(Socket::open(&used, V4).expect_err("no stream").starts_with("HTTP/1.1 404"), "{used}");
    }
    remove_pod(&n, &pod);
}

fn what_makes_no_sense_is_refused() {
    let n = Node::start();
    let (pod, id) = started(&n, "nonsense", SLEEP);
    let exec = |tty, stdin, stdout, stderr| ExecRequest {
        container_id: id.clone(),
        cmd: vec!["true".to_owned()],
        tty,
        stdin,
        stdout,
        stderr,
    };
    n.fails(Code::InvalidArgument, n.containers().exec(exec(true, true, true, true)));
    n.fails(Code::InvalidArgument, n.containers().exec(exec(false, false, false, false)));
    n.fails(Code::NotFound, n.containers().exec(ExecRequest { container_id: "0".repeat(64), ..exec(false, true, true, true) }));
    n.fails(Code::NotFound, n.containers().port_forward(PortForwardRequest { pod_sandbox_id: "0".repeat(64), port: vec![1] }));
    if !is_another() {
        n.fails(Code::InvalidArgument, n.containers().exec(ExecRequest { cmd: vec![], ..exec(false, true, true, true) }));
        n.fails(
            Code::InvalidArgument,
            n.containers().port_forward(PortForwardRequest { pod_sandbox_id: pod.clone(), port: vec![70_000] }),
        );
        stop(&n, &id, 0);
        n.fails(Code::FailedPrecondition, n.containers().exec(exec(false, true, true, true)));
    }
    remove_pod(&n, &pod);
}
