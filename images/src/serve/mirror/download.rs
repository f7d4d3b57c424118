//! One blob on its way from the upstream to a file here, and to all who follow it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

use super::{Keep, Known, upstream};
use crate::serve::refusal::{Code, Refusal};
use crate::serve::reply::Body;
use crate::serve::route::Repository;
use crate::serve::sink::Sink;
use crate::serve::storage::{Kind, Storage};
use crate::serve::{blocking, random_id};
use crate::unpack::hash::Algorithm;
use crate::{Digest, RegistryError};

/// Bytes of a piece that is handed on.
const PIECE: u64 = 256 << 10;

/// How far a download is.
#[derive(Debug, Clone, Default)]
pub(super) struct Coming {
    pub(super) file: Option<(Arc<File>, u64)>,
    /// Bytes that may be handed on.
    pub(super) ready: u64,
    pub(super) failed: Option<(Code, String)>,
}

/// One blob on its way here.
pub(super) struct Download {
    pub(super) storage: Arc<Storage>,
    pub(super) known: Arc<Known>,
    pub(super) repository: Repository,
    pub(super) digest: Digest,
    pub(super) limit: u64,
    pub(super) keep: Keep,
    pub(super) state: watch::Sender<Coming>,
}

impl Download {
    pub(super) async fn run(&self) -> Result<(), Refusal> {
        let asked = |error: RegistryError| upstream(&error, Code::BlobUnknown);
        let size = self.known.registry.blob_size(&self.digest).await.map_err(asked)?;
        if size > self.limit {
            return Err(Refusal::new(Code::TooLarge, format!("the blob has {size} bytes, more than {} are not kept", self.limit)));
        }
        let id = random_id()?;
        let file = {
            let id = id.clone();
            blocking(&self.storage, move |storage| storage.incoming(&id)).await?
        };
        let received = self.receive(Sink::new(file, Algorithm::of(self.digest.as_str())), size).await;
        let stored = match received {
            Err(refusal) => Err(refusal),
            Ok(file) => {
                let (repository, digest, id) = (self.repository.clone(), self.digest.clone(), id.clone());
                let publish = move |storage: &Storage| storage.publish(&repository, Kind::Blob, &digest, &id, &file);
                blocking(&self.storage, publish).await
            }
        };
        blocking(&self.storage, move |storage| storage.discard(&id)).await?;
        stored?;
        self.state.send_modify(|coming| coming.ready = size);
        let keep = self.keep;
        if keep.bytes.is_some() {
            blocking(&self.storage, move |storage| storage.evict(&keep)).await?;
        }
        Ok(())
    }

    async fn receive(&self, mut sink: Sink, size: u64) -> Result<Arc<File>, Refusal> {
        let asked = |error: RegistryError| upstream(&error, Code::BlobUnknown);
        let unwritten = |error| Refusal::from(self.storage.unwritten(error));
        let stream = self.known.registry.blob(&self.digest, size, 0).await.map_err(asked)?;
        let mut stream = std::pin::pin!(stream);
        let file = sink.file().clone();
        self.state.send_modify(|coming| coming.file = Some((file, size)));
        loop {
            let piece = match stream.try_next().now_or_never() {
                Some(piece) => piece,
                // Nothing more is there just now: those who follow get what came.
                None => {
                    sink.flush().await.map_err(unwritten)?;
                    self.hand_on(sink.written(), size);
                    stream.try_next().await
                }
            };
            let Some(piece) = piece.map_err(asked)? else { break };
            sink.put(piece).await.map_err(unwritten)?;
            self.hand_on(sink.written(), size);
        }
        let (found, file) = sink.finish(&self.digest).await.map_err(unwritten)?;
        if found == self.digest {
            return Ok(file);
        }
        Err(Refusal::new(Code::Upstream, format!("what the upstream sent has the digest {found}")))
    }

    fn hand_on(&self, written: u64, size: u64) {
        let ready = unverified(written, size);
        self.state.send_if_modified(|coming| std::mem::replace(&mut coming.ready, ready) != ready);
    }
}

/// So many bytes of a blob may be handed on before its digest is known: never all.
fn unverified(written: u64, size: u64) -> u64 {
    written.min(size.saturating_sub(1))
}

/// Bytes `start` to `end` of a file that is being written.
pub(super) fn follow(coming: watch::Receiver<Coming>, file: Arc<File>, start: u64, end: u64) -> Body {
    let stream = futures_util::stream::try_unfold((coming, file, start), move |(mut coming, file, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let ready = {
            let state = coming.wait_for(|coming| coming.ready > at || coming.failed.is_some()).await;
            state.map_err(io::Error::other)?.ready.min(end)
        };
        if ready <= at {
            return Err(io::Error::other("the upstream failed"));
        }
        let (source, length) = (file.clone(), usize::try_from((ready - at).min(PIECE)).unwrap_or_default());
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            source.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        });
        let piece = reading.await.map_err(io::Error::other)??;
        let next = at + piece.len() as u64;
        Ok(Some((piece, (coming, file, next))))
    });
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_waits_for_the_digest() {
        assert_eq!((unverified(0, 10), unverified(9, 10), unverified(10, 10), unverified(0, 0)), (0, 9, 9, 0));
    }
}
