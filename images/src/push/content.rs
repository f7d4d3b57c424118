//! The exact bytes of an image's blobs, from wherever they are.

use bytes::Bytes;
use futures_util::stream::LocalBoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sys::Call;

use crate::error::{Doing, Error, Result};
use crate::image::Layer;
use crate::manifest::Descriptor;
use crate::pull::Progress;
use crate::registry::{Content, Registry};
use crate::store::{Kept, Store};
use crate::{Credentials, Reference, Registries};

/// Bytes of a piece of a file.
const PIECE: u64 = 256 << 10;

/// Who may fetch what is not kept.
pub(crate) struct Access<'a> {
    pub(crate) registries: &'a Registries,
    pub(crate) credentials: &'a Credentials,
    /// Hears about retries.
    pub(crate) progress: &'a dyn Progress,
}

/// One blob.
pub(crate) enum Blob<'a> {
    /// A config or manifest.
    Here(Bytes),
    File(Part),
    /// A layer that is not kept.
    Remote {
        access: &'a Access<'a>,
        blob: Descriptor,
        sources: Vec<Reference>,
    },
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) file: std::sync::Arc<Kept>,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

impl<'a> Blob<'a> {
    /// The blob of a layer.
    ///
    /// # Errors
    /// [`Error::NotKept`]: there is none, and no repository that has it.
    pub(crate) fn of(store: &Store, layer: &Layer, access: &'a Access<'a>) -> Result<Self> {
        if let Some(file) = store.kept_blob(&layer.digest)? {
            return Ok(Blob::File(Part { file: file.into(), start: 0, size: layer.size }));
        }
        match store.sources(&layer.digest)? {
            sources if sources.is_empty() => Err(Error::NotKept { digest: layer.digest.clone() }),
            sources => Ok(Blob::Remote { access, blob: layer.descriptor(), sources }),
        }
    }
}

impl Content for Blob<'_> {
    async fn read(&self, offset: u64) -> Result<LocalBoxStream<'_, Result<Bytes>>> {
        match self {
            Blob::Here(bytes) => {
                let rest = bytes.slice(usize::try_from(offset).unwrap_or(bytes.len()).min(bytes.len())..);
                Ok(futures_util::stream::iter([Ok(rest)]).boxed_local())
            }
            Blob::File(part) => Ok(part.read(offset).boxed_local()),
            Blob::Remote { access, blob, sources } => remote(access, blob, sources, offset).await,
        }
    }
}

impl Part {
    /// Its bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64) -> impl futures_util::Stream<Item = Result<Bytes>> + use<> {
        let part = self.clone();
        futures_util::stream::try_unfold(offset, move |at| {
            let piece = part.piece(at, PIECE);
            async move { piece.map(|piece| (!piece.is_empty()).then(|| (piece.clone(), at + piece.len() as u64))) }
        })
    }

    /// At most `most` bytes at `offset`; none at the end.
    pub(crate) fn piece(&self, offset: u64, most: u64) -> Result<Bytes> {
        let most = self.size.saturating_sub(offset).min(most);
        let mut piece = vec![0; usize::try_from(most).unwrap_or_default()];
        let mut filled = 0;
        // What is read in parts comes in parts.
        while filled < piece.len() {
            let at = self.start + offset + filled as u64;
            let read = self.file.read_at(&mut piece[filled..], at).call(|| format!("pread({most}, {at})"));
            match read.doing(|| "read a blob")? {
                0 => break,
                length => filled += length,
            }
        }
        piece.truncate(filled);
        Ok(piece.into())
    }
}

/// From the first of the repositories that gives it.
async fn remote<'a>(
    access: &'a Access<'a>,
    blob: &'a Descriptor,
    sources: &[Reference],
    offset: u64,
) -> Result<LocalBoxStream<'a, Result<Bytes>>> {
    let mut last = None;
    for source in sources {
        let Access { registries, credentials, progress } = *access;
        let opened = match Registry::new(source, registries, credentials, progress) {
            Ok(registry) => registry.content(blob, offset).await,
            Err(error) => Err(error),
        };
        match opened {
            Ok(stream) => return Ok(stream.map_err(Error::from).boxed_local()),
            Err(error) => last = Some(Error::from(error)),
        }
    }
    let digest = blob.digest.clone();
    Err(match last {
        Some(last) => Error::Refetch { digest, source: Box::new(last) },
        None => Error::NotKept { digest },
    })
}
