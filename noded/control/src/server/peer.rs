//! A client's connection. One over which there is a watch, and whose client does not read, is ended: what happens meanwhile is kept in the
//! store's history and not for the client, but a connection has buffers and a descriptor. Who reads logs and stops for a while is let be.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// So long a client with a watch may leave unread what was sent to it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a connection has a watch; requests have it among their extensions.
#[derive(Debug, Clone, Default)]
pub(super) struct Watching(Arc<AtomicBool>);

impl Watching {
    /// There is one from now on.
    pub(super) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The connection.
pub(super) struct Peer {
    stream: TcpStream,
    watching: Watching,
    patience: Duration,
    is_limited: bool,
}

impl Peer {
    pub(super) fn new(stream: TcpStream, watching: Watching, patience: Duration) -> Self {
        Self { stream, watching, patience, is_limited: false }
    }

    /// The kernel ends a connection whose peer takes nothing for so long, be it that it has no room or that it is gone (tcp(7),
    /// `TCP_USER_TIMEOUT`).
    fn limit(&mut self) {
        if !self.is_limited && self.watching.0.load(Ordering::Relaxed) {
            self.is_limited = true;
            let milliseconds = u32::try_from(self.patience.as_millis()).unwrap_or(u32::MAX);
            // without it a stalled client keeps its connection, no more
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&self.stream, milliseconds);
        }
    }
}

impl AsyncRead for Peer {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.limit();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.limit();
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
