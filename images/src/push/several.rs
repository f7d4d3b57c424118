//! Images of several platforms that go under one name.

use super::{Push, Pushed};
use crate::Digest;
use crate::error::Result;
use crate::image::Image;
use crate::store::{Store, index};

/// The other images of the index that `image` came with, as far as they are here.
pub(super) fn others(store: &Store, image: &Image) -> Result<Vec<Image>> {
    let all = store.variants(image)?.into_iter().filter_map(|variant| variant.image);
    Ok(all.filter(|other| other.manifest != image.manifest).collect())
}

impl Push<'_> {
    /// Sends an image that an index names, under its digest.
    pub(super) async fn entry(&self) -> Result<()> {
        self.content().await?;
        let bytes = self.store.manifest_bytes(self.image)?;
        self.document(self.image.manifest.as_str(), &self.image.manifest, &bytes).await?;
        self.remember()
    }

    /// An index of this image and `others`, as `what`; `without` are those of the old index that it has not.
    pub(super) async fn those_here(&self, what: &str, others: &[Image], without: Vec<String>) -> Result<Pushed> {
        let images = [self.image].into_iter().chain(others);
        let index = index(&images.map(|image| self.store.entry(image)).collect::<Result<Vec<_>>>()?);
        let pushed = self.document(what, &Digest::sha256(index.as_bytes()), index.as_bytes()).await?;
        Ok(Pushed { without, ..pushed })
    }
}
