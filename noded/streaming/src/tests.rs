//! Whole sessions over TCP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::spdy::testing::{Client, Seen};
use crate::{Backend, Input, Io, Job, Jobs, Outcome, Output, Streams, router};

struct Echo;

impl Backend for Echo {
    async fn exec(&self, _: String, command: Vec<String>, _: bool, mut io: Io) -> (Outcome, Io) {
        if let (Some(stdin), Some(stdout)) = (&mut io.stdin, &io.stdout) {
            while let Some(bytes) = stdin.next().await {
                stdout.write(bytes).await.unwrap();
            }
        }
        if let Some(stderr) = &io.stderr {
            stderr.write(Bytes::from(command.join(" "))).await.unwrap();
        }
        (Outcome::Exited(3), io)
    }

    async fn attach(&self, container: String, _: bool, mut io: Io) -> (Outcome, Io) {
        let size = io.sizes.next().await;
        io.stdout.as_ref().unwrap().write(Bytes::from(format!("{container} {}x{}", size.width, size.height))).await.unwrap();
        io.closed().await;
        (Outcome::Done, io)
    }

    async fn forward(&self, pod: String, port: u16, mut input: Input, output: Output) -> Result<(), String> {
        if port == 1 {
            return Err(format!("{pod}: nothing listens on port 1"));
        }
        while let Some(bytes) = input.next().await {
            output.write(bytes).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

async fn served() -> Arc<Jobs> {
    served_by(Echo).await
}

async fn served_by(backend: impl Backend) -> Arc<Jobs> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let jobs = Arc::new(Jobs::new(&format!("http://{}", listener.local_addr().unwrap())));
    let router = router(Arc::clone(&jobs), Arc::new(backend));
    tokio::spawn(async move { axum::serve(listener, router).await });
    jobs
}

/// Asks for an upgrade; the connection and the head of the answer.
async fn ask(address: &str, headers: &str) -> (TcpStream, String) {
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(format!("POST /{path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

async fn spdy(address: &str, protocol: &str) -> Client<TcpStream> {
    let upgrade = format!("Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: {protocol}\r\n");
    let (stream, head) = ask(address, &upgrade).await;
    assert!(head.starts_with("http/1.1 101") && head.contains(&format!("x-stream-protocol-version: {protocol}")), "{head}");
    Client::new(stream)
}

fn exec(streams: Streams) -> Job {
    Job::Exec { container: "c".to_owned(), command: vec!["a".to_owned(), "b".to_owned()], streams }
}

#[tokio::test]
async fn an_exec_feeds_and_shows_and_tells_the_code() {
    let jobs = served().await;
    let address = jobs.address(exec(Streams { stdin: true, stdout: true, stderr: true, tty: false })).unwrap();
    let mut client = spdy(&address, "v4.channel.k8s.io").await;
    for (id, kind) in [(1, "error"), (3, "stdin"), (5, "stdout"), (7, "stderr")] {
        client.open(id, &[("streamType", kind)]).await;
        assert_eq!(client.see().await, Seen::Reply(id));
    }
    client.send(3, b"hello", false).await;
    client.send(3, b"", true).await;
    assert_eq!(client.see().await, Seen::Data(5, b"hello".to_vec()));
    assert_eq!(client.see().await, Seen::Data(7, b"a b".to_vec()));
    let status = client.all(1).await;
    assert!(std::str::from_utf8(&status).unwrap().contains(r#""message":"3""#), "{status:?}");
    assert_eq!(client.see().await, Seen::GoAway);
    // the address works once
    let (_, head) = ask(&address, "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[tokio::test]
async fn a_terminal_has_sizes_and_ends_with_its_client() {
    let jobs = served().await;
    let streams = Streams { stdin: false, stdout: true, stderr: false, tty: true };
    let address = jobs.address(Job::Attach { container: "c".to_owned(), streams }).unwrap();
    let mut client = spdy(&address, "v4.channel.k8s.io").await;
    for (id, kind) in [(1, "error"), (3, "stdout"), (5, "resize")] {
        client.open(id, &[("streamtype", kind)]).await;
        assert_eq!(client.see().await, Seen::Reply(id));
    }
    client.send(5, br#"{"Width":80,"Height":24}"#, false).await;
    assert_eq!(client.see().await, Seen::Data(3, b"c 80x24".to_vec()));
}

#[tokio::test]
async fn wrong_streams_are_refused() {
    for kind in ["stdin", "stderr", "resize", "nonsense", "error"] {
        let jobs = served().await;
        let address = jobs.address(exec(Streams { stdout: true, ..Streams::default() })).unwrap();
        let mut client = spdy(&address, "v4.channel.k8s.io").await;
        client.open(1, &[("streamtype", "error")]).await;
        assert_eq!(client.see().await, Seen::Reply(1));
        client.open(3, &[("streamtype", kind)]).await;
        let seen = [client.see().await, client.see().await];
        assert_eq!(seen, [Seen::Reply(3), Seen::GoAway], "{kind}");
    }
}

#[tokio::test]
async fn ports_are_forwarded_and_failures_told() {
    let jobs = served().await;
    let address = jobs.address(Job::Forward { pod: "p".to_owned(), ports: Vec::new() }).unwrap();
    let mut client = spdy(&address, "portforward.k8s.io").await;
    for (at, port) in [(0, "80"), (1, "1")] {
        for (offset, kind) in [(1, "error"), (3, "data")] {
            client.open(at * 4 + offset, &[("streamtype", kind), ("port", port), ("requestid", &at.to_string())]).await;
            assert_eq!(client.see().await, Seen::Reply(at * 4 + offset));
        }
    }
    assert_eq!(client.all(5).await, "p: nothing listens on port 1");
    client.send(3, b"ping", false).await;
    client.send(3, b"", true).await;
    assert_eq!(client.all(3).await, "ping");
}

#[tokio::test]
async fn what_cannot_be_agreed_on_is_refused() {
    let jobs = served().await;
    for (headers, answer) in [
        ("", "http/1.1 400"),
        ("Connection: Upgrade\r\nUpgrade: SPDY/2\r\n", "http/1.1 400"),
        ("Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v9.channel.k8s.io\r\n", "http/1.1 403"),
    ] {
        let address = jobs.address(exec(Streams::default())).unwrap();
        let (_, head) = ask(&address, headers).await;
        assert!(head.starts_with(answer), "{headers}: {head}");
    }
    let (_, head) = ask(&jobs.address(exec(Streams::default())).unwrap().replace("/exec/", "/attach/"), "").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

type WebSocket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn websocket(address: &str, protocol: &str) -> WebSocket {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let mut request = address.replace("http://", "ws://").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    let stream = TcpStream::connect(request.uri().authority().unwrap().as_str()).await.unwrap();
    tokio_tungstenite::client_async(request, stream).await.unwrap().0
}

async fn seen(socket: &mut WebSocket) -> Option<Vec<u8>> {
    use futures_util::StreamExt;
    match socket.next().await?.ok()? {
        tokio_tungstenite::tungstenite::Message::Binary(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}

async fn say(socket: &mut WebSocket, bytes: &'static [u8]) {
    use futures_util::SinkExt;
    socket.send(tokio_tungstenite::tungstenite::Message::Binary(Bytes::from_static(bytes))).await.unwrap();
}

#[tokio::test]
async fn websocket_channels_do_the_same() {
    let jobs = served().await;
    let address = jobs.address(exec(Streams { stdin: true, stdout: true, stderr: true, tty: false })).unwrap();
    let mut socket = websocket(&address, "v5.channel.k8s.io").await;
    assert_eq!(seen(&mut socket).await.unwrap(), [1]);
    say(&mut socket, b"\x00hello").await;
    say(&mut socket, b"\x09nobody").await;
    assert_eq!(seen(&mut socket).await.unwrap(), b"\x01hello");
    say(&mut socket, &[255, 0]).await;
    assert_eq!(seen(&mut socket).await.unwrap(), b"\x02a b");
    let status = seen(&mut socket).await.unwrap();
    assert!(status.starts_with(b"\x03{") && String::from_utf8_lossy(&status).contains(r#""message":"3""#));
    assert_eq!(seen(&mut socket).await, None);

    let address = jobs.address(Job::Forward { pod: "p".to_owned(), ports: vec![80, 1] }).unwrap();
    let mut socket = websocket(&address, "v4.channel.k8s.io").await;
    let mut first = Vec::new();
    while first.len() < 5 {
        first.push(seen(&mut socket).await.unwrap());
    }
    first.sort();
    assert_eq!(first, [&[0, 80, 0][..], &[1, 80, 0], &[2, 1, 0], &[3, 1, 0], b"\x03p: nothing listens on port 1"]);
    say(&mut socket, b"\x00ping").await;
    assert_eq!(seen(&mut socket).await.unwrap(), b"\x00ping");
}

/// Reads nothing of what a client sends, and says when that has gone.
struct Deaf(mpsc::UnboundedSender<()>);

impl Deaf {
    async fn until_gone(&self, io: Io) -> (Outcome, Io) {
        io.closed().await;
        self.0.send(()).unwrap();
        (Outcome::Done, io)
    }
}

impl Backend for Deaf {
    async fn exec(&self, _: String, _: Vec<String>, _: bool, io: Io) -> (Outcome, Io) {
        self.until_gone(io).await
    }

    async fn attach(&self, _: String, _: bool, io: Io) -> (Outcome, Io) {
        self.until_gone(io).await
    }

    async fn forward(&self, _: String, _: u16, _: Input, _: Output) -> Result<(), String> {
        Ok(())
    }
}

/// Until so long nothing has moved.
const FULL: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_client_whose_input_nobody_takes_is_missed_when_it_goes() {
    let (says, mut heard) = mpsc::unbounded_channel();
    let jobs = served_by(Deaf(says)).await;
    let streams = Streams { stdin: true, stdout: true, ..Streams::default() };
    let mut client = spdy(&jobs.address(exec(streams)).unwrap(), "v4.channel.k8s.io").await;
    for (id, kind) in [(1, "error"), (3, "stdin"), (5, "stdout")] {
        client.open(id, &[("streamtype", kind)]).await;
        assert_eq!(client.see().await, Seen::Reply(id));
    }
    while timeout(FULL, client.send(3, &[0; 1 << 16], false)).await.is_ok() {}
    drop(client);
    timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap();

    let mut socket = websocket(&jobs.address(exec(streams)).unwrap(), "v4.channel.k8s.io").await;
    while timeout(FULL, say(&mut socket, &[0; 1 << 16])).await.is_ok() {}
    drop(socket);
    timeout(Duration::from_secs(30), heard.recv()).await.unwrap().unwrap();
}
