//! From an archive into the store.

use std::fs::File;
use std::path::PathBuf;

use futures_util::future::Either;
use tokio::sync::watch;

use super::members::{Members, path};
use super::read::{self, Packed};
use super::{INDEX, InvalidArchive, MANIFEST};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::manifest::{self, Descriptor};
use crate::pull::{Event, Layers, Progress};
use crate::store::{Publication, Record, Store, layers_of, parse_config};
use crate::{Digest, Platform, Policy, policy};

/// How to load.
#[derive(Debug, Default)]
pub struct LoadOptions {
    /// For which machines; all that are there when there is none.
    pub platforms: Vec<Platform>,
    /// Which archives may be loaded.
    pub policy: Policy,
    /// Where the archive is, if it is a file that has a name: a policy may be about that.
    pub path: Option<PathBuf>,
}

/// An archive is let in as what it is; one of both forms as both. No signatures are in it that could be checked.
fn admitted(members: &Members, options: &LoadOptions) -> Result<()> {
    let path = options.path.as_deref();
    let what = path.map_or_else(|| "the archive".to_owned(), |path| path.display().to_string());
    for (transport, list, scopes) in
        [("docker-archive", MANIFEST, Vec::new()), ("oci-archive", INDEX, path.map(policy::of_path).unwrap_or_default())]
    {
        if members.has(list) {
            options.policy.admits_unsigned(transport, &scopes, &what)?;
        }
    }
    Ok(())
}

/// A loaded image.
#[derive(Debug)]
pub struct Loaded {
    /// The image, complete. Its names are those that the archive gave it; there may be none.
    pub image: Image,
    /// Whether it was not in the store, or a name moved.
    pub fresh: bool,
}

/// Brings all images of an archive into the store: an OCI layout or Docker's form, however it is compressed. `input` may be a pipe.
/// Blobs of layers that are new are kept, as no registry may have them. Of several machines' images under one name, the one is told that the
/// name means: this host's, if it is there.
pub fn load(store: &Store, input: File, options: &LoadOptions, progress: &dyn Progress) -> Result<Vec<Loaded>> {
    let members = Members::open(store, input)?;
    admitted(&members, options)?;
    let images = read::images(&members, &options.platforms)?;
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let loaded = runtime.block_on(async {
        let mut loaded = Vec::new();
        // Those that have no name of their own are in use once the name is there that they belong to.
        let (mut held, mut fresh) = (Vec::new(), false);
        for image in &images {
            let mut new = one(store, image, progress).await?;
            if image.is_variant {
                fresh |= new.fresh;
                held.push(store.hold(&new.image)?);
            } else {
                new.fresh |= std::mem::take(&mut fresh);
                held.clear();
                loaded.push(new);
            }
        }
        Ok(loaded)
    });
    runtime.shutdown_background();
    loaded
}

pub(super) async fn one(store: &Store, packed: &Packed, progress: &dyn Progress) -> Result<Loaded> {
    let (id, config_bytes) = &packed.config;
    let config = parse_config(id, config_bytes)?;
    let layers = layers_of(id, &packed.layers, &config)?;
    let digests: Vec<Digest> = layers.iter().map(|layer| layer.digest.clone()).collect();
    let lease = store.lease(digests.iter().chain([id]))?;
    let sizes: Vec<_> = layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
    progress.event(Event::Layers(&sizes));
    let (_known, config) = watch::channel(Some(layers));
    let (stop, _) = watch::channel(false);
    let all = Layers { store, progress, source: None, keep: true };
    let fresh = all.fetch(&packed.layers, &config, &stop, |blob| async { open(packed, blob) }).await?;
    store.adopt(&digests)?;
    let record = Record {
        target: packed.target.0.clone(),
        manifest: packed.manifest.0.clone(),
        media_type: manifest::media_type(&packed.manifest.1, "")?,
        config: id.clone(),
        layers: digests,
    };
    let mut blobs = vec![(&record.config, &config_bytes[..]), (&record.manifest, &packed.manifest.1[..])];
    if record.target != record.manifest {
        blobs.push((&record.target, &packed.target.1[..]));
    }
    let moved = store.publish(&Publication { names: &packed.names, record: &record, blobs }, &lease)?;
    Ok(Loaded { image: store.load(&record, packed.names.clone())?, fresh: fresh || moved })
}

fn open(packed: &Packed, blob: &Descriptor) -> Result<impl futures_util::Stream<Item = Result<bytes::Bytes>> + use<>> {
    match (&blob.data, packed.parts.get(&blob.digest)) {
        (Some(data), _) => Ok(Either::Left(futures_util::stream::iter([Ok(data.clone())]))),
        (None, Some(part)) => Ok(Either::Right(part.read(0))),
        (None, None) => Err(InvalidArchive::Missing { name: path(&blob.digest) }.into()),
    }
}
