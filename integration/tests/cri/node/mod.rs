//! A `noded` of a test's own, and a client of it; or a containerd, or whatever serves the socket that `CRI_SOCKET` names.

mod other;
mod own;

use std::fs;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::time::Duration;

use cri::image_service_client::ImageServiceClient;
use cri::runtime_service_client::RuntimeServiceClient;
use integration::env::{Env, Running};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use super::known::deviation;
use other::Containerd;
pub(super) use own::needs_our_bridge;
use own::{by_systemd, command, configure, heard, serve};

/// How long a call may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest message, as the kubelet has it.
const MESSAGE: usize = 16 << 20;

/// The namespace of the tests' pods.
pub(super) const NAMESPACE: &str = "tests";

/// Whether the runtime is not noded: codes of errors that CRI leaves open are then not looked at.
pub(super) fn is_another() -> bool {
    std::env::var_os("CRI_SOCKET").is_some()
}

/// A runtime, and a connection to it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) env: Env,
    runtime: tokio::runtime::Runtime,
    /// The daemon, and the socket on which it speaks to systemd; none when the runtime is another.
    daemon: Option<(Running, UnixDatagram)>,
    /// Ends with this.
    _other: Option<Containerd>,
    channel: Channel,
    socket: PathBuf,
}

impl Node {
    /// The runtime that `CRI_SOCKET` names, a fresh containerd if that is its word, or a fresh noded.
    pub(super) fn start() -> Node {
        match std::env::var_os("CRI_SOCKET") {
            Some(word) if word == "containerd" => Node::containerd(),
            Some(socket) => Node::around(Env::new(), None, None, socket.into()),
            None => Node::own(""),
        }
    }

    /// A fresh noded with more in its configuration.
    pub(super) fn own(more: &str) -> Node {
        if is_another() {
            integration::skip!("this is about noded itself, and CRI_SOCKET names another runtime");
        }
        let env = Env::new();
        let socket = env.run().join("noded/cri.sock");
        configure(&env, more);
        let daemon = serve(&env, command(&env, "run"));
        Node::around(env, Some(daemon), None, socket)
    }

    fn containerd() -> Node {
        if let Some(why) = deviation() {
            integration::skip!("containerd: {why}");
        }
        let env = Env::new();
        let daemon = Containerd::start(&env);
        let socket = daemon.socket();
        let n = Node::around(env, None, Some(daemon), socket);
        n.env.soon("containerd is ready", || n.is_ready());
        n
    }

    fn around(env: Env, daemon: Option<(Running, UnixDatagram)>, other: Option<Containerd>, socket: PathBuf) -> Node {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let channel = {
            let _inside = runtime.enter();
            Endpoint::new(format!("unix://{}", socket.display())).expect("an address").connect_lazy()
        };
        Node { env, runtime, daemon, _other: other, channel, socket }
    }

    /// Whether it answers, and says that containers and network are ready.
    fn is_ready(&self) -> bool {
        let status =
            self.ask(self.containers().status(cri::StatusRequest { verbose: false })).ok().and_then(|answer| answer.status);
        status.is_some_and(|status| status.conditions.iter().all(|condition| condition.status))
    }

    /// Writes its configuration anew.
    pub(super) fn configure(&self, more: &str) {
        configure(&self.env, more);
    }

    /// The cgroup above those of all containers, as the kubelet would name it.
    pub(super) fn cgroup_parent(&self) -> String {
        if by_systemd() { self.env.slice() } else { self.env.cgroup() }
    }

    /// How the runtime has to name cgroups, if it is ours.
    pub(super) fn cgroup_driver(&self) -> cri::CgroupDriver {
        if by_systemd() { cri::CgroupDriver::Systemd } else { cri::CgroupDriver::Cgroupfs }
    }

    /// Runs `noded VERB` beside it, with its configuration, to its end.
    pub(super) fn beside(&self, verb: &str) -> integration::output::Output {
        Running::start(command(&self.env, verb)).finish()
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon of our own").0.pid()
    }

    /// Starts the daemon that was stopped, with a socket that is there already, as systemd does it.
    pub(super) fn begin_with_socket(&mut self) {
        let _ = fs::remove_file(&self.socket);
        let socket = UnixListener::bind(&self.socket).expect("a socket");
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).expect("kept open");
        // A shell puts it where it belongs, and says whom it is for.
        let script = format!("export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&{}", socket.as_raw_fd());
        let own = command(&self.env, "run");
        let mut shell = self.env.command("bash");
        shell.arg("-c").arg(script).arg(own.get_program()).args(own.get_args());
        self.daemon = Some(serve(&self.env, shell));
        self.connect();
    }

    /// Has the daemon read its configuration again, and waits until it has.
    pub(super) fn reload(&self) {
        let (daemon, manager) = self.daemon.as_ref().expect("a daemon of our own");
        daemon.signal(rustix::process::Signal::HUP);
        for word in ["RELOADING=1", "READY=1"] {
            assert!(heard(manager).expect("a word").starts_with(word));
        }
    }

    /// Kills the daemon with SIGKILL, and starts another one.
    pub(super) fn kill_and_start(&mut self) {
        self.daemon.take().expect("a daemon of our own").0.kill();
        self.begin();
    }

    /// Starts the daemon that was stopped.
    pub(super) fn begin(&mut self) {
        self.daemon = Some(serve(&self.env, command(&self.env, "run")));
        self.connect();
    }

    /// Asks the daemon to end, and answers what it has said on its way.
    pub(super) fn stop(&mut self) -> integration::output::Output {
        let (daemon, manager) = self.daemon.take().expect("a daemon of our own");
        daemon.signal(rustix::process::Signal::TERM);
        assert_eq!(heard(&manager).expect("a word"), "STOPPING=1");
        daemon.finish()
    }

    /// Removes all pods of tests.
    fn remove_pods(&self) {
        let pods = self.ask(self.containers().list_pod_sandbox(cri::ListPodSandboxRequest { filter: None }));
        let ours = |pod: &cri::PodSandbox| pod.metadata.as_ref().is_some_and(|metadata| metadata.namespace == NAMESPACE);
        for pod in pods.into_iter().flat_map(|pods| pods.items).filter(ours) {
            let _ = self.ask(self.containers().stop_pod_sandbox(cri::StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() }));
            let _ = self.ask(self.containers().remove_pod_sandbox(cri::RemovePodSandboxRequest { pod_sandbox_id: pod.id }));
        }
    }

    /// A new connection.
    fn connect(&mut self) {
        let _inside = self.runtime.enter();
        self.channel = Endpoint::new(format!("unix://{}", self.socket.display())).expect("an address").connect_lazy();
    }

    /// The image service.
    pub(super) fn images(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE)
    }

    /// The runtime service.
    pub(super) fn containers(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE).max_encoding_message_size(MESSAGE)
    }

    /// Waits for something that has no status.
    #[track_caller]
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let done = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await });
        done.unwrap_or_else(|_| panic!("no answer within {PATIENCE:?}"))
    }

    /// The answer of a call.
    #[track_caller]
    pub(super) fn ask<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
        self.wait(call).map(Response::into_inner)
    }

    /// The answer of a call that has to succeed.
    #[track_caller]
    pub(super) fn ok<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> T {
        self.ask(call).unwrap_or_else(|status| panic!("{:?}: {}", status.code(), status.message()))
    }

    /// The message of a call that has to fail with `code`. Of another runtime only those codes are expected that clients look at: the
    /// interface leaves the others open.
    #[track_caller]
    pub(super) fn fails<T: std::fmt::Debug>(&self, code: Code, call: impl Future<Output = Result<Response<T>, Status>>) -> String {
        match self.ask(call) {
            Ok(answer) => panic!("expected {code:?}, got {answer:?}"),
            Err(status) => {
                let asked = self.daemon.is_some() || matches!(code, Code::NotFound | Code::DeadlineExceeded);
                assert!(status.code() == code || !asked, "{:?}: {}", status.code(), status.message());
                status.message().to_owned()
            }
        }
    }

    /// Every message of a call that answers a stream; none where the runtime is another, and older than such calls.
    #[track_caller]
    pub(super) fn stream<T>(&self, call: impl Future<Output = Result<Response<tonic::Streaming<T>>, Status>>) -> Option<Vec<T>> {
        let mut stream = match self.ask(call) {
            Err(status) if status.code() == Code::Unimplemented && self.daemon.is_none() => return None,
            answer => answer.unwrap_or_else(|status| panic!("{:?}: {}", status.code(), status.message())),
        };
        let mut messages = Vec::new();
        while let Some(message) = self.wait(stream.message()).unwrap_or_else(|status| panic!("{status}")) {
            messages.push(message);
        }
        Some(messages)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Pods outlive their daemon.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.remove_pods()));
        if let Some((daemon, _)) = self.daemon.take() {
            daemon.kill();
        }
    }
}
