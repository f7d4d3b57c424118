//! Bodies of requests, with a limit in bytes and in patience.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};

use super::refusal::{Code, Refusal};

/// A body that comes in.
pub(super) struct Source {
    body: Incoming,
    patience: Duration,
}

impl Source {
    pub(super) fn new(body: Incoming, patience: Duration) -> Self {
        Source { body, patience }
    }

    /// Bytes that it says it has.
    pub(super) fn told(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// The next piece; `None` at the end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await.map_err(|_| Refusal::from(Code::Timeout))?;
            match frame {
                None => return Ok(None),
                // Whoever sent it is gone: nobody reads this answer.
                Some(Err(_)) => return Err(Refusal::new(Code::BlobUploadInvalid, "the connection was lost")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) if piece.is_empty() => {}
                    Ok(piece) => return Ok(Some(piece)),
                    // Trailers say nothing here.
                    Err(_) => {}
                },
            }
        }
    }

    /// All of it, unless it has more than `limit` bytes.
    pub(super) async fn all(mut self, limit: u64, too_large: Code) -> Result<Bytes, Refusal> {
        if self.told().is_some_and(|told| told > limit) {
            return Err(too_large.into());
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            if (all.len() + piece.len()) as u64 > limit {
                return Err(too_large.into());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
