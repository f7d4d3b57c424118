//! Sockets. Whoever neither sends nor takes anything for too long loses the connection: while headers come (hyper's own deadline), while
//! a body comes (`incoming`), and while an answer goes out (here).

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::answer::answer;

/// Time for the headers of a request, and for the next request of a connection.
const HEADERS: Duration = Duration::from_secs(30);
/// Time for TLS to begin.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Rest after a connection could not be accepted, as when all descriptors are in use.
const REST: Duration = Duration::from_millis(100);

/// Serves until `stop` can be read.
pub(super) async fn serve(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: OwnedFd,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut stop = tokio::task::spawn_blocking(move || readable(&stop));
    let places = Arc::new(Semaphore::new(shared.limits.connections));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let (shared, tls, ended) = (shared.clone(), tls.clone(), ended.clone());
        connections.spawn(async move {
            connection(stream, tls, shared, ended).await;
            drop(place);
        });
    }
    drop(listener);
    ending.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = timeout(shared.limits.grace, all).await;
    Ok(())
}

/// Waits until a descriptor can be read, or its other end is gone.
fn readable(descriptor: &OwnedFd) {
    let mut polled = [PollFd::new(descriptor, PollFlags::IN)];
    while matches!(rustix::event::poll(&mut polled, None), Err(Errno::INTR)) {}
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        // The client went away, or there are no descriptors left: the next one may have more luck.
        Err(_) => {
            sleep(REST).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>, ended: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, shared.limits.idle);
    match tls {
        None => speak(stream, shared, ended).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                speak(stream, shared, ended).await;
            }
        }
    }
}

/// One connection with all its requests.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>, mut ended: watch::Receiver<bool>) {
    let headers = HEADERS.min(shared.limits.idle);
    let service = service_fn(move |request| answer(shared.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers).max_buf_size(256 << 10);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    // What goes wrong with a connection is the client's business.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// A socket whose peer must take what is written.
struct Patient {
    stream: TcpStream,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Something waits for the peer.
    waiting: bool,
}

impl Patient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Patient { stream, patience, deadline: Box::pin(sleep(patience)), waiting: false }
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.deadline.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, pieces: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
