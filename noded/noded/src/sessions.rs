//! Streams: from a client's connection to the session of a monitor.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use engine::{ExecRequest, Happening, Session};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use streaming::{Backend, Input, Io, Outcome, Output, Size};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::host::{chain, log};
use crate::node::Node;

/// The longest piece of input that is handed over at once: so much a monitor takes without being waited for.
const PIECE: usize = 16 << 10;

/// How long whoever listens on a pod's port may take to answer. It is on this host.
const DIALLING: Duration = Duration::from_secs(10);

/// Serves streams until the daemon ends.
pub(crate) async fn serve(node: Arc<Node>, listener: tokio::net::TcpListener) {
    let router = streaming::router(Arc::clone(&node.jobs), Arc::new(Sessions::new(&node)));
    if let Err(error) = axum::serve(listener, router).await {
        log::failed("serve streams", &error);
    }
}

/// The engine as the streaming server sees it.
pub(crate) struct Sessions(Arc<Node>);

impl Backend for Sessions {
    async fn exec(&self, container: String, command: Vec<String>, tty: bool, io: Io) -> (Outcome, Io) {
        let request = ExecRequest { cmd: command, tty, stdin: io.stdin.is_some(), ..ExecRequest::default() };
        let session = self.blocking(move |node| Ok(node.engine().exec(&container, &request)?)).await;
        carried(session, io, Purpose::Exec).await
    }

    async fn attach(&self, container: String, _tty: bool, io: Io) -> (Outcome, Io) {
        let stdin = io.stdin.is_some();
        let session = self.blocking(move |node| {
            let (found, session) = node.engine().attach(&container, stdin)?;
            Ok((crate::cri::stdin_once(&found), session))
        });
        match session.await {
            Ok((once, session)) => carried(Ok(session), io, Purpose::Attach { once }).await,
            Err(error) => (Outcome::Failed(chain(error.as_ref())), io),
        }
    }

    async fn forward(&self, pod: String, port: u16, input: Input, output: Output) -> Result<(), String> {
        let connection = self.blocking(move |node| Ok(node.engine().pod_connect(&pod, port, DIALLING)?)).await;
        let connection = connection.map_err(|error| chain(error.as_ref()))?;
        let set = connection.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(connection));
        let connection = set.map_err(|error| format!("port {port}: {error}"))?;
        streaming::carry(connection, input, output).await.map_err(|error| format!("port {port}: {error}"))
    }
}

impl Sessions {
    /// Those of this node.
    pub(crate) fn new(node: &Arc<Node>) -> Sessions {
        Sessions(Arc::clone(node))
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Node) -> Result<T> + Send + 'static) -> Result<T> {
        let node = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&node)).await.context("the work ended without a result")?
    }
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A process of its own, which goes with its client.
    Exec,
    /// A container, which stays. With `once` its input ends with that of its first client.
    Attach { once: bool },
}

impl Purpose {
    /// Whether the end of the client's input is one for the process.
    fn ends_input(self) -> bool {
        matches!(self, Purpose::Exec | Purpose::Attach { once: true })
    }
}

async fn carried(session: Result<Session>, mut io: Io, purpose: Purpose) -> (Outcome, Io) {
    let outcome = match session {
        Ok(session) => carry(session, &mut io, purpose).await,
        Err(error) => Err(error),
    };
    (outcome.unwrap_or_else(|error| Outcome::Failed(chain(error.as_ref()))), io)
}

/// Carries output, input and sizes until the process ends or the client goes.
async fn carry(mut session: Session, io: &mut Io, purpose: Purpose) -> Result<Outcome> {
    let fd = watched(session.as_fd().try_clone_to_owned().context("watch a session")?).context("watch a session")?;
    let gone = io.gone();
    tokio::pin!(gone);
    let mut stdin = io.stdin.take();
    let mut waiting = Bytes::new();
    loop {
        if session.has_early() || is(&fd, PollFlags::IN) {
            match said(&mut session, io).await? {
                Some(code) if purpose == Purpose::Exec => return Ok(Outcome::Exited(code)),
                Some(_) => return Ok(Outcome::Done),
                None => continue,
            }
        }
        tokio::select! {
            ready = fd.readable() => {
                let mut ready = ready.context("listen to a session")?;
                if !is(&fd, PollFlags::IN) {
                    ready.clear_ready();
                }
            }
            ready = fd.writable(), if !waiting.is_empty() => {
                let mut ready = ready.context("write to a session")?;
                if is(&fd, PollFlags::OUT) {
                    session.stdin(&waiting.split_to(waiting.len().min(PIECE)))?;
                } else {
                    ready.clear_ready();
                }
            }
            piece = next(&mut stdin), if waiting.is_empty() => match piece {
                Some(piece) => waiting = piece,
                None => {
                    stdin = None;
                    if purpose.ends_input() {
                        session.stdin_end()?;
                    }
                }
            },
            Size { width, height } = io.sizes.next() => session.resize(height, width)?,
            () = &mut gone => {
                if purpose == Purpose::Exec {
                    // Nobody would ever see what becomes of it.
                    let _ = session.signal(9);
                }
                return Ok(Outcome::Done);
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "for types that may close their descriptor behind tokio's back: an OwnedFd does not, and the other way is unsafe"
)]
fn watched(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE | Interest::WRITABLE)
}

/// The next piece of input; waits for ever where there is none to come.
async fn next(stdin: &mut Option<Input>) -> Option<Bytes> {
    match stdin {
        Some(stdin) => stdin.next().await,
        None => std::future::pending().await,
    }
}

/// Passes on what the monitor says. Answers the exit code at the end.
async fn said(session: &mut Session, io: &Io) -> Result<Option<i32>> {
    // A client that closes one stream alone does not want to hear it.
    match session.happening()? {
        Some(Happening::Stdout(bytes)) => write(io.stdout.as_ref(), bytes).await,
        Some(Happening::Stderr(bytes)) => write(io.stderr.as_ref(), bytes).await,
        Some(Happening::Exited(exit)) => return Ok(Some(exit.code)),
        None => {}
    }
    Ok(None)
}

async fn write(output: Option<&Output>, bytes: Vec<u8>) {
    if let Some(output) = output {
        let _ = output.write(Bytes::from(bytes)).await;
    }
}

/// Whether the session has something, or takes something, right now.
fn is(fd: &AsyncFd<OwnedFd>, what: PollFlags) -> bool {
    let mut fds = [PollFd::new(fd.get_ref(), what)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
