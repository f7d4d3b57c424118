//! A `noded` of a test's own, and a client of it; or whatever serves the socket that `CRI_SOCKET` names, such as containerd.

use std::fs;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cri::image_service_client::ImageServiceClient;
use cri::runtime_service_client::RuntimeServiceClient;
use integration::debian::program;
use integration::env::{Env, Running};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

/// How long a call may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest message, as the kubelet has it.
const MESSAGE: usize = 16 << 20;

/// A runtime, and a connection to it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) env: Env,
    runtime: tokio::runtime::Runtime,
    /// The daemon, and the socket on which it speaks to systemd; none when the runtime is somebody else's.
    daemon: Option<(Running, UnixDatagram)>,
    channel: Channel,
    socket: PathBuf,
}

impl Node {
    /// The runtime that `CRI_SOCKET` names, or a fresh noded.
    pub(super) fn start() -> Node {
        match std::env::var_os("CRI_SOCKET") {
            Some(socket) => Node::around(Env::new(), None, socket.into()),
            None => Node::own(""),
        }
    }

    /// A fresh noded with more in its configuration.
    pub(super) fn own(more: &str) -> Node {
        if std::env::var_os("CRI_SOCKET").is_some() {
            integration::skip!("this is about noded itself, and CRI_SOCKET names another runtime");
        }
        let env = Env::new();
        let socket = env.run().join("noded/cri.sock");
        configure(&env, more);
        let daemon = serve(&env, command(&env));
        Node::around(env, Some(daemon), socket)
    }

    fn around(env: Env, daemon: Option<(Running, UnixDatagram)>, socket: PathBuf) -> Node {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let channel = {
            let _inside = runtime.enter();
            Endpoint::new(format!("unix://{}", socket.display())).expect("an address").connect_lazy()
        };
        Node { env, runtime, daemon, channel, socket }
    }

    /// Writes its configuration anew.
    pub(super) fn configure(&self, more: &str) {
        configure(&self.env, more);
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
        let own = command(&self.env);
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
        self.daemon = Some(serve(&self.env, command(&self.env)));
        self.connect();
    }

    /// Asks the daemon to end, and answers what it has said on its way.
    pub(super) fn stop(&mut self) -> integration::output::Output {
        let (daemon, manager) = self.daemon.take().expect("a daemon of our own");
        daemon.signal(rustix::process::Signal::TERM);
        assert_eq!(heard(&manager).expect("a word"), "STOPPING=1");
        daemon.finish()
    }

    /// Removes all pods.
    fn remove_pods(&self) {
        let pods = self.ask(self.containers().list_pod_sandbox(cri::ListPodSandboxRequest { filter: None }));
        for pod in pods.into_iter().flat_map(|pods| pods.items) {
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

    /// The message of a call that has to fail with `code`.
    #[track_caller]
    pub(super) fn fails<T: std::fmt::Debug>(&self, code: Code, call: impl Future<Output = Result<Response<T>, Status>>) -> String {
        match self.ask(call) {
            Ok(answer) => panic!("expected {code:?}, got {answer:?}"),
            Err(status) => {
                assert_eq!(status.code(), code, "{}", status.message());
                status.message().to_owned()
            }
        }
    }

    /// Every message of a call that answers a stream.
    #[track_caller]
    pub(super) fn stream<T>(&self, call: impl Future<Output = Result<Response<tonic::Streaming<T>>, Status>>) -> Vec<T> {
        let mut stream = match self.ask(call) {
            // Other runtimes may be older than these calls.
            Err(status) if status.code() == Code::Unimplemented && self.daemon.is_none() => {
                integration::skip!("this runtime does not have the call: {}", status.message())
            }
            answer => answer.unwrap_or_else(|status| panic!("{:?}: {}", status.code(), status.message())),
        };
        let mut messages = Vec::new();
        while let Some(message) = self.wait(stream.message()).unwrap_or_else(|status| panic!("{status}")) {
            messages.push(message);
        }
        messages
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Pods outlive their daemon.
        if self.daemon.is_some() {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.remove_pods()));
        }
        if let Some((daemon, _)) = self.daemon.take() {
            daemon.kill();
        }
    }
}

fn configure(env: &Env, more: &str) {
    let mut text =
        format!("root = {:?}\nrun = {:?}\nbridge = {:?}\ncgroup = {:?}\n", env.root(), env.run(), env.bridge(), env.cgroup());
    // Tables that `more` has are completed, others are added.
    let tables = [
        ("[cri]\n", format!("socket = {:?}\n", env.run().join("noded/cri.sock"))),
        ("[cni]\n", format!("folder = {:?}\n", env.path("net.d"))),
        ("[images]\n", format!("registries = [{:?}]\nlogins = []\n", env.path("registries.conf"))),
    ];
    let mut more = more.to_owned();
    for (title, keys) in tables {
        match more.contains(title) {
            true => more = more.replace(title, &format!("{title}{keys}")),
            false => text += &format!("{title}{keys}"),
        }
    }
    fs::write(env.path("noded.toml"), text + &more).expect("noded.toml");
}

/// `noded run`.
fn command(env: &Env) -> Command {
    let noded = std::env::var_os("NODED").map_or_else(|| program("noded"), |path| Ok(path.into()));
    let mut command = env.command(noded.unwrap_or_else(|error| panic!("{error:#}")));
    command.args(["run", "--config"]).arg(env.path("noded.toml"));
    command
}

/// Starts noded, and waits until it says that it is ready, as systemd does.
fn serve(env: &Env, mut command: Command) -> (Running, UnixDatagram) {
    let address = env.run().join("notify");
    let _ = fs::remove_file(&address);
    let manager = UnixDatagram::bind(&address).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    command.env("NOTIFY_SOCKET", &address);
    let mut daemon = Running::start(command);
    match heard(&manager) {
        Ok(word) => assert!(word.starts_with("READY=1"), "{word}"),
        Err(_) if daemon.has_ended() => panic!("noded ended\n{}", daemon.finish()),
        Err(error) => panic!("noded does not say that it is ready: {error}"),
    }
    (daemon, manager)
}

/// What the daemon says to systemd.
fn heard(manager: &UnixDatagram) -> std::io::Result<String> {
    let mut buffer = [0; 256];
    let length = manager.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}
