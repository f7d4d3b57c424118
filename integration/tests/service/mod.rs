//! `rctr system service`: what the docker command, and whoever else speaks Docker's API, gets from it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use integration::debian::is_installed;
use integration::env::{Env, Running};
use integration::output::Output;
use integration::terminal::Terminal;
use rustix::process::Signal;

integration::tests![
    containers_run,
    containers_live,
    terminals,
    images_are_built_and_kept,
    networks_and_volumes,
    what_happens_is_told,
    execs_are_known,
    libraries_speak_it,
    requests_that_make_no_sense,
    clients_that_go,
    transfers_end_with_their_clients,
    it_ends,
];

/// A service of a test's own, and clients of it.
struct Served {
    env: Env,
    service: Option<Running>,
    socket: PathBuf,
}

impl Served {
    fn start(more: &[&str]) -> Served {
        let env = Env::new();
        let socket = env.run().join("docker.sock");
        let mut served = Served { env, service: None, socket };
        served.again(more);
        served
    }

    fn again(&mut self, more: &[&str]) {
        self.service = Some(self.env.spawn(["system", "service"].iter().chain(more)));
        let socket = &self.socket;
        self.env.soon("the service listens", || UnixStream::connect(socket).is_ok());
    }

    /// The docker command; without it the rest of a test is skipped.
    fn with_client(more: &[&str]) -> Served {
        if !is_installed("docker") {
            integration::skip!("needs docker (docker-cli)");
        }
        Served::start(more)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.env.command("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display())).env("DOCKER_BUILDKIT", "0").args(words);
        command
    }

    fn spawn(&self, words: &[&str]) -> Running {
        Running::start(self.command(words))
    }

    fn docker(&self, words: &[&str]) -> Output {
        self.spawn(words).finish()
    }

    /// One request, without a library: its head and its body.
    fn raw(&self, line: &str, body: &str) -> (u16, String) {
        let mut socket = UnixStream::connect(&self.socket).expect("a connection");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        socket.write_all(head.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    /// Nothing is left, not even the socket.
    fn end(mut self) {
        self.stop();
        assert!(!self.socket.exists(), "the socket is left");
        self.env.remove_all();
        self.env.nothing_left_soon();
    }

    fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            service.signal(Signal::TERM);
            service.finish().ok();
        }
    }
}

impl Drop for Served {
    /// Of a test that has failed.
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.kill();
        }
    }
}

fn containers_run() {
    let s = Served::with_client(&["--time", "0"]);
    s.docker(&["version", "-f", "{{.Server.Os}}"]).ok().says("linux\n");
    s.docker(&["info", "-f", "{{.Driver}}"]).ok().says("overlay\n");
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    let run = ["run", "--rm", "--network", "none", "--entrypoint", ""];
    let sh = |line: &'static str| ["test/config", "sh", "-c", line];
    s.docker(&[&run[..], &sh("echo out; echo err >&2; exit 3")].concat()).code(3).says("out\n").says_aside("err\n");
    let mut fed = s.spawn(&[&run[..], &["-i"], &sh("cat")].concat());
    fed.type_in("typed\n");
    fed.finish().ok().says("typed\n");
    s.docker(&[&run[..], &["test/config", "/nonsuch"]].concat()).code(127);
    let there = format!("{}:/there:ro", s.env.path(".").display());
    fs::write(s.env.path("file"), "of the host").expect("a file");
    s.docker(
        &[&run[..], &["-e", "A=b", "-w", "/there", "-v", &there, "-m", "64m", "-u", "7:8"], &sh("cat file; echo $A $PWD; id -u")]
            .concat(),
    )
    .ok()
    .says("of the hostb /there\n7\n");
    s.docker(&[&run[..], &["--cpu-rt-runtime", "1000"], &sh("true")].concat())
        .code(125)
        .complains(&["HostConfig.CpuRealtimeRuntime"]);
    s.docker(&["ps", "-aq"]).ok().says("");
    s.end();
}

fn containers_live() {
    let s = Served::with_client(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    let line = "echo begun; trap 'exit 5' TERM; while :; do sleep 0.1; done";
    let run = [
        "run",
        "-d",
        "--name",
        "one",
        "--network",
        "none",
        "--label",
        "a=b",
        "--stop-signal",
        "TERM",
        "-u",
        "0",
        "--entrypoint",
        "sh",
        "test/config",
        "-c",
        line,
    ];
    let id = s.docker(&run).ok().text().to_owned();
    assert_eq!(s.env.rctr(["ps", "-q", "--no-trunc"]).ok().text(), id);
    s.docker(&["ps", "--filter", "label=a", "--format", "{{.Names}} {{.State}}"]).ok().says("one running\n");
    s.docker(&["ps", "--filter", "label=other", "-q"]).ok().says("");
    assert_eq!(s.docker(&["inspect", "one"]).ok().stdout.matches("\"Id\"").count(), 1);
    let mut logs = s.spawn(&["logs", "-f", "--timestamps", "one"]);
    logs.wait_for("Z begun\n");
    s.docker(&["exec", "-e", "A=b", "one", "sh", "-c", "echo $A; echo err >&2; exit 4"]).code(4).says("b\n").says_aside("err\n");
    let mut fed = s.spawn(&["exec", "-i", "one", "cat"]);
    fed.type_in("typed\n");
    fed.finish().ok().says("typed\n");
    s.docker(&["exec", "-d", "one", "sh", "-c", "echo yes >/tmp/done"]).ok();
    s.env.soon("the process has written", || s.docker(&["exec", "one", "cat", "/tmp/done"]).stdout == "yes\n");
    s.docker(&["exec", "one", "/nonsuch"]).code(127).has("nonsuch");
    s.docker(&["top", "one"]).ok().has("sleep");
    s.docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "one"]).ok().has("one ");
    s.docker(&["diff", "one"]).ok().has("A /tmp/done\n");
    copies(&s);
    s.docker(&["pause", "one"]).ok();
    s.docker(&["ps", "--format", "{{.State}}"]).ok().says("paused\n");
    s.docker(&["unpause", "one"]).ok();
    s.docker(&["update", "--restart", "on-failure:2", "one"]).ok();
    assert_eq!(s.env.inspect("one", "{{.HostConfig.RestartPolicy.MaximumRetryCount}}"), "2");
    s.docker(&["update", "--restart", "no", "one"]).ok();
    s.docker(&["rename", "one", "two"]).ok();
    let waiting = s.spawn(&["wait", "two"]);
    s.docker(&["stop", "two"]).ok();
    waiting.finish().ok().says("5\n");
    logs.finish().ok();
    s.docker(&["start", "two"]).ok();
    s.docker(&["restart", "-t", "0", "two"]).ok();
    s.docker(&["kill", "two"]).ok();
    s.docker(&["wait", "two"]).ok().says("137\n");
    s.docker(&["logs", "--tail", "1", "two"]).ok().says("begun\n");
    s.docker(&["rm", "two"]).ok();
    s.docker(&["inspect", "two"]).code(1).complains(&["no such object"]);
    s.end();
}

/// Files go in and out.
fn copies(s: &Served) {
    let folder = s.env.path("in");
    fs::create_dir_all(folder.join("deep")).expect("a folder");
    fs::write(folder.join("deep/file"), "content").expect("a file");
    let (folder, out) = (folder.display().to_string(), s.env.path("out").display().to_string());
    s.docker(&["cp", &folder, "one:/tmp/copied"]).ok();
    s.docker(&["exec", "one", "cat", "/tmp/copied/deep/file"]).ok().says("content");
    s.docker(&["cp", "one:/tmp/copied", &out]).ok();
    assert_eq!(fs::read_to_string(s.env.path("out/deep/file")).expect("a file"), "content");
    s.docker(&["cp", "one:/tmp/nonsuch", &out]).code(1).complains(&["nonsuch"]);
}

fn terminals() {
    let s = Served::with_client(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    let run = ["run", "-it", "--name", "one", "--network", "none", "-u", "0", "--entrypoint", "/probe", "test/config", "winch"];
    let mut terminal = Terminal::start(&s.command(&run), 77, 22);
    terminal.wait_for("77 22");
    terminal.resize_until(66, 11, "66 11");
    let mut inside = Terminal::start(&s.command(&["exec", "-it", "one", "/probe", "winch"]), 55, 12);
    inside.wait_for("55 12");
    inside.type_in("\x03");
    assert_eq!(inside.finish().0, 130);
    // The keys part the client from the container, which goes on.
    terminal.type_in("\x10\x11");
    terminal.finish();
    assert_eq!(s.env.inspect("one", "{{.State.Running}}"), "true");
    let mut again = Terminal::start(&s.command(&["attach", "one"]), 44, 13);
    again.wait_for("44 13");
    again.type_in("\x03");
    assert_eq!(again.finish().0, 130);
    s.end();
}

fn images_are_built_and_kept() {
    let s = Served::with_client(&["--time", "0"]);
    s.docker(&["pull", "test/config"]).ok().has("Pull complete").has("Downloaded newer image for test/config:latest");
    s.docker(&["pull", "-q", "test/config"]).ok();
    s.docker(&["pull", "test/nonsuch"]).code(1).complains(&["nonsuch"]);
    s.docker(&["tag", "test/config", "other:1"]).ok();
    s.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok().has("other:1\n").has("test/config:latest\n");
    s.docker(&["rmi", "other:1"]).ok().has("Untagged: other:1");
    s.docker(&["history", "-q", "test/config"]).ok();
    let folder = s.env.path("context");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("file"), "of the context").expect("a file");
    fs::write(folder.join("Dockerfile"), "FROM test/config\nARG A\nCOPY file /file\nLABEL a=$A\n").expect("a file");
    let context = folder.display().to_string();
    s.docker(&["build", "-t", "built", "--build-arg", "A=b", &context])
        .ok()
        .has("COPY file /file")
        .has("Successfully tagged built");
    s.docker(&["inspect", "-f", "{{.Config.Labels.a}}", "built"]).ok().says("b\n");
    s.docker(&["run", "--rm", "--network", "none", "--entrypoint", "cat", "built", "/file"]).ok().says("of the context");
    fs::write(folder.join("Dockerfile"), "FROM test/config\nCOPY nonsuch /\n").expect("a file");
    s.docker(&["build", &context]).code(1).complains(&["nonsuch"]);
    fs::write(folder.join("Dockerfile"), "FROM test/config\nCOPY file /a\nCOPY file /b\n").expect("a file");
    s.docker(&["build", "--squash", "-t", "squashed", &context]).ok().has("Successfully tagged squashed");
    let layers =
        |name: &str| s.docker(&["inspect", "-f", "{{len .RootFS.Layers}}", name]).ok().text().parse::<usize>().expect("a number");
    assert_eq!(layers("squashed"), layers("test/config") + 1);
    let archive = s.env.path("built.tar").display().to_string();
    s.docker(&["save", "-o", &archive, "built"]).ok();
    s.docker(&["rmi", "built"]).ok();
    s.docker(&["load", "-i", &archive]).ok().has("Loaded image: built:latest");
    let name = format!("{}/service:v1", integration::env::world().registry.address);
    s.docker(&["tag", "built", &name]).ok();
    s.docker(&["push", &name]).ok().has("v1: digest: sha256:");
    s.docker(&["rmi", &name, "built"]).ok();
    s.docker(&["pull", "-q", &name]).ok();
    s.docker(&["image", "prune", "-f"]).ok();
    s.end();
}

fn networks_and_volumes() {
    let s = Served::with_client(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    s.docker(&["network", "create", "--subnet", "10.231.7.0/24", "--label", "a=b", "web"]).ok();
    s.docker(&["network", "ls", "--filter", "label=a", "--format", "{{.Name}} {{.Driver}}"]).ok().says("web bridge\n");
    s.docker(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "web"]).ok().says("10.231.7.0/24\n");
    s.docker(&["network", "create", "web"]).code(1).complains(&["web"]);
    s.docker(&["volume", "create", "--label", "a=b", "data"]).ok().says("data\n");
    s.docker(&["volume", "ls", "-q", "--filter", "label=a"]).ok().says("data\n");
    let run = ["run", "--rm", "--network", "web", "-v", "data:/data", "-u", "0", "--entrypoint", "sh", "test/config", "-c"];
    s.docker(&[&run[..], &["echo kept > /data/file"]].concat()).ok();
    s.docker(&[&run[..], &["cat /data/file"]].concat()).ok().says("kept\n");
    let there = s.docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", "data"]).ok().text().to_owned();
    assert_eq!(fs::read_to_string(PathBuf::from(there).join("file")).expect("a file"), "kept\n");
    s.docker(&["create", "--name", "one", "-v", "data:/data", "test/config"]).ok();
    s.docker(&["network", "connect", "--alias", "db", "web", "one"]).ok();
    s.docker(&["network", "disconnect", "web", "one"]).ok();
    s.docker(&["volume", "rm", "data"]).code(1).complains(&["data", "one"]);
    s.docker(&["rm", "one"]).ok();
    s.docker(&["volume", "rm", "data"]).ok();
    s.docker(&["network", "rm", "web"]).ok();
    s.docker(&["network", "inspect", "web"]).code(1).complains(&["web"]);
    s.docker(&["volume", "prune", "-f"]).ok();
    s.docker(&["network", "prune", "-f"]).ok();
    s.end();
}

fn what_happens_is_told() {
    let s = Served::with_client(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    let begun = s.docker(&["info", "-f", "{{.SystemTime}}"]).ok().text().to_owned();
    // From then on, so that nothing is missed.
    let format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}";
    let mut told = s.spawn(&["events", "--since", &begun, "--filter", "container=one", "--format", format]);
    s.docker(&["run", "--rm", "--name", "one", "--network", "none", "--entrypoint", "true", "test/config"]).ok();
    for action in ["create", "start", "die", "destroy"] {
        told.wait_for(&format!("container {action} one\n"));
    }
    told.kill();
    let ended = s.docker(&["info", "-f", "{{.SystemTime}}"]).ok().text().to_owned();
    let past =
        ["events", "--since", &begun, "--until", &ended, "--filter", "event=die", "--format", "{{.Actor.Attributes.exitCode}}"];
    s.docker(&past).ok().has("0\n");
    s.end();
}

/// The text of a key in the last line of an answer.
fn field(answer: &str, key: &str) -> String {
    let document = answer.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    value[key].as_str().map_or_else(|| value[key].to_string(), str::to_owned)
}

fn execs_are_known() {
    let s = Served::start(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    s.env.start(["--name", "one", "--network", "none", "--entrypoint", "/probe", "test/config", "sleep"]);
    let (_, made) = s.raw("POST /containers/one/exec", r#"{"Cmd":["sh","-c","exec sleep 5000"]}"#);
    let id = field(&made, "Id");
    let look = |key: &str| field(&s.raw(&format!("GET /exec/{id}/json"), "").1, key);
    assert_eq!((look("Pid"), look("Running")), ("0".to_owned(), "false".to_owned()));
    assert_eq!(s.raw(&format!("POST /exec/{id}/start"), r#"{"Detach":true}"#).0, 200);
    let pid = look("Pid");
    s.env.soon("it is the process on the host", || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x005000"))
    });
    let number = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a process");
    rustix::process::kill_process(number, Signal::KILL).expect("killed");
    s.env.soon("its end is known", || look("Running") == "false");
    assert_eq!((look("Pid"), look("ExitCode")), ("0".to_owned(), "137".to_owned()));
    s.end();
}

/// python3-docker, which reads ahead of what it was promised.
fn libraries_speak_it() {
    const PYTHON: &str = "/usr/bin/python3";
    let has = |package: &str| {
        Command::new(PYTHON).args(["-c", &format!("import {package}")]).output().is_ok_and(|out| out.status.success())
    };
    if !has("docker") {
        integration::skip!("needs python3-docker");
    }
    let s = Served::start(&["--time", "0"]);
    let mut command = s.env.command(PYTHON);
    command.args(["-c", include_str!("client.py")]).env("DOCKER_HOST", format!("unix://{}", s.socket.display()));
    Running::start(command).finish().ok().says("all is well\n");
    s.end();
}

fn requests_that_make_no_sense() {
    let s = Served::start(&["--time", "0"]);
    let (status, answer) = s.raw("GET /_ping", "");
    assert!(status == 200 && answer.to_lowercase().contains("api-version: 1.") && answer.contains("OK"), "{answer}");
    for (line, body, status, part) in [
        ("GET /v1.41/nothing", "", 404, "page not found"),
        ("PUT /v1.41/containers/json", "", 405, "method"),
        ("GET /v1.12/_ping", "", 400, "too old"),
        ("GET /v9.9/_ping", "", 400, "too new"),
        ("GET /v1.41/containers/nonsuch/json", "", 404, "no such container"),
        ("GET /v1.41/containers/json?filters=x", "", 400, "filters"),
        ("GET /v1.41/containers/json?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D", "", 400, "colour"),
        ("POST /v1.41/containers/create", "{\"Image\":", 400, "JSON"),
        ("POST /v1.41/containers/create", "[]", 400, "JSON"),
        ("POST /v1.41/containers/create", "{\"Image\":\"nonsuch\"}", 404, "no such image"),
        (
            "POST /v1.41/containers/create",
            "{\"Image\":\"a\",\"HostConfig\":{\"CpuRealtimeRuntime\":1}}",
            400,
            "HostConfig.CpuRealtimeRuntime",
        ),
        ("POST /v1.41/containers/nonsuch/wait?condition=soon", "", 400, "condition"),
        ("POST /v1.41/exec/nonsuch/start", "{}", 404, "exec"),
        ("POST /session", "", 501, "DOCKER_BUILDKIT=0"),
        ("NONSENSE", "", 400, "400"),
    ] {
        let (code, answer) = s.raw(line, body);
        assert!(code == status && answer.contains(part), "{line}: {answer}");
    }
    // A head without end is cut off, and a socket is root's alone, or its group's.
    let mut socket = UnixStream::connect(&s.socket).expect("a connection");
    let _ = socket.write_all(b"GET /_ping HTTP/1.1\r\nX: ").and_then(|()| socket.write_all(&vec![b'x'; 1 << 20]));
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("200"), "{}", String::from_utf8_lossy(&answer));
    let mode = fs::metadata(&s.socket).expect("a socket").permissions().mode() & 0o777;
    assert!(matches!(mode, 0o600 | 0o660), "{mode:o}");
    s.end();
}

/// What of the service is not its own: threads, and connections to monitors and clients.
fn held(s: &Served) -> (usize, usize) {
    let pid = s.service.as_ref().map_or(0, Running::pid);
    let count = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
    (count("task"), count("fd"))
}

fn clients_that_go() {
    let s = Served::start(&["--time", "0"]);
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    let id = s.env.start(["--name", "one", "--network", "none", "--entrypoint", "/probe", "test/config", "sleep"]);
    let made = s.env.rctr(["create", "--network", "none", "--entrypoint", "/probe", "test/config", "sleep"]).ok().text().to_owned();
    s.raw("GET /_ping", "");
    s.env.soon("only one thread is left", || held(&s).0 == 1);
    let before = held(&s);
    let clients: Vec<UnixStream> = [
        format!("GET /containers/{id}/logs?follow=1&stdout=1"),
        format!("GET /containers/{id}/stats"),
        format!("POST /containers/{id}/wait"),
        format!("POST /containers/{made}/wait?condition=next-exit"),
        format!("POST /containers/{made}/wait?condition=removed"),
        format!("POST /containers/{id}/attach?stream=1&stdout=1"),
        format!("POST /containers/{made}/attach?stream=1&stdout=1"),
    ]
    .iter()
    .map(|line| {
        let mut socket = UnixStream::connect(&s.socket).expect("a connection");
        let upgrade = if line.contains("attach") { "Connection: Upgrade\r\nUpgrade: tcp\r\n" } else { "" };
        let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{upgrade}Content-Length: 0\r\n\r\n");
        socket.write_all(head.as_bytes()).expect("sent");
        // The head of the answer.
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        assert!(socket.read(&mut [0; 12]).expect("an answer") > 0, "{line}");
        socket
    })
    .collect();
    assert!(held(&s) > before, "{:?} and {before:?}", held(&s));
    drop(clients);
    // A connection of before may still have been on its way out.
    s.env.soon("nothing of them is left", || held(&s).0 == before.0 && held(&s).1 <= before.1);
    s.end();
}

/// A registry that says nothing keeps nobody busy once the client has gone.
fn transfers_end_with_their_clients() {
    let s = Served::start(&["--time", "0"]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let name = format!("{}/a/b", silent.local_addr().expect("an address"));
    s.env.rctr(["pull", "-q", "test/config"]).ok();
    s.env.rctr(["tag", "test/config", &format!("{name}:v1")]).ok();
    s.raw("GET /_ping", "");
    s.env.soon("only one thread is left", || held(&s).0 == 1);
    let before = held(&s);
    for line in [format!("POST /images/create?fromImage={name}&tag=v1"), format!("POST /images/{name}/push?tag=v1")] {
        let mut socket = UnixStream::connect(&s.socket).expect("a connection");
        socket.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes()).expect("sent");
        socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        assert!(socket.read(&mut [0; 12]).expect("an answer") > 0, "{line}");
        // It is under way.
        let _asked = silent.accept().expect("a request");
        assert!(held(&s) > before, "{:?} and {before:?}", held(&s));
        drop(socket);
        s.env.soon("nothing of it is left", || held(&s).0 == before.0 && held(&s).1 <= before.1);
    }
    s.end();
}

fn it_ends() {
    let mut s = Served::start(&["--time", "1"]);
    let service = s.service.as_mut().expect("a service");
    s.env.soon("it has ended by itself", || service.has_ended());
    drop(s.service.take().map(Running::finish));
    // One that was killed leaves its socket, which is replaced.
    s.again(&["--time", "0"]);
    let other = s.env.rctr(["system", "service"]);
    other.fails(125, &["another process serves it"]);
    s.service.take().expect("a service").kill();
    assert!(s.socket.exists());
    s.again(&["--time", "0"]);
    s.env.rctr(["system", "service", "tcp://127.0.0.1:2375"]).code(125).complains(&["over ssh"]);
    s.end();
}
