//! An etcd of a test's own, and a connection to it that can be cut.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Address, Files};
use crate::certs::{Authority, Use};

/// Debian's etcd, in a folder that goes with it.
pub(crate) struct Etcd {
    folder: tempfile::TempDir,
    port: u16,
    more: Vec<&'static str>,
    is_secure: bool,
    server: Option<Child>,
}

impl Etcd {
    /// Nothing, said aloud, where there is no etcd.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&'static str]) -> Option<Self> {
        Self::prepare(more).map(|mut etcd| {
            etcd.begin();
            etcd
        })
    }

    /// One that speaks TLS alone, and only with whom its authority vouches for.
    pub(crate) fn start_secure() -> Option<Self> {
        let mut etcd = Self::prepare(&[])?;
        etcd.is_secure = true;
        let authority = Authority::open(etcd.folder.path()).unwrap();
        etcd.write("ca", authority.pem());
        etcd.issue(&authority, "server", &Use::Server(&["127.0.0.1".to_owned()]));
        etcd.issue(&authority, "client", &Use::Client(&[]));
        etcd.begin();
        Some(etcd)
    }

    fn prepare(more: &[&'static str]) -> Option<Self> {
        if Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            let _ = writeln!(std::io::stderr(), "skipped: needs etcd (Debian: etcd-server)");
            return None;
        }
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        Some(Self { folder, port, more: more.to_vec(), is_secure: false, server: None })
    }

    /// Makes a certificate and its key, in files.
    pub(crate) fn issue(&self, authority: &Authority, name: &str, purpose: &Use<'_>) {
        let made = authority.issue(name, purpose, std::time::Duration::from_secs(3600)).unwrap();
        self.write(&format!("{name}.crt"), &made.certificate);
        self.write(&format!("{name}.key"), &made.key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, again.
    pub(crate) fn begin(&mut self) {
        let scheme = if self.is_secure { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://127.0.0.1:{}", self.port), format!("http://127.0.0.1:{}", free_port()));
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.folder.path().join("data")).arg("--name=a");
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
        command.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("a={peer}")]).args(&self.more);
        if self.is_secure {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(self.file("ca"));
            command.arg("--cert-file").arg(self.file("server.crt")).arg("--key-file").arg(self.file("server.key"));
        }
        command.env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH.replace("aarch64", "arm64"));
        self.server = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> Address {
        if self.is_secure { self.address_for("client") } else { address(&[self.port]) }
    }

    /// How one that speaks TLS is reached with this certificate; without one where there is no name.
    pub(crate) fn address_for(&self, name: &str) -> Address {
        let of = |end: &str| if name.is_empty() { PathBuf::new() } else { self.file(&format!("{name}.{end}")) };
        let (authority, certificate, key) = (self.file("ca"), of("crt"), of("key"));
        let files = Files { authority: &authority, certificate: &certificate, key: &key };
        Address::read(&format!("https://127.0.0.1:{}", self.port), files).unwrap()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An etcd whose members listen at these ports.
pub(crate) fn address(ports: &[u16]) -> Address {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let none = Path::new("");
    let files = Files { authority: none, certificate: none, key: none };
    Address::read(&format!("etcd://{}", hosts.join(",")), files).unwrap()
}

/// A port of nobody.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A way to etcd that can be cut.
pub(crate) struct Way {
    pub(crate) port: u16,
    to: u16,
    silent: Arc<AtomicBool>,
    carrying: Option<JoinHandle<()>>,
}

impl Way {
    pub(crate) async fn to(to: u16) -> Self {
        let mut way = Self { port: free_port(), to, silent: Arc::default(), carrying: None };
        way.open().await;
        way
    }

    pub(crate) async fn open(&mut self) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (to, silent) = (self.to, self.silent.clone());
        self.carrying = Some(tokio::spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                all.spawn(carry(near, to, silent.clone()));
            }
        }));
    }

    /// Ends all connections, and takes no new ones.
    pub(crate) async fn cut(&mut self) {
        if let Some(carrying) = self.carrying.take() {
            carrying.abort();
            let _ = carrying.await;
        }
    }

    /// Questions come through; with the next answer the connection breaks, before it is heard.
    pub(crate) fn swallow(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

async fn carry(near: TcpStream, to: u16, silent: Arc<AtomicBool>) {
    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let back = async {
        let mut piece = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_far.read(&mut piece).await {
            if silent.load(Ordering::SeqCst) || to_near.write_all(&piece[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = back => {}
        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
    }
}
