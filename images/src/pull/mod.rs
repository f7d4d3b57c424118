//! Fetching an image: name -> manifest -> config and missing layers side by side -> verified -> published.
//!
//! The async runtime is made here and ends here; it has one thread, as all it does is to hand on what comes from the
//! network. Each layer has two threads of its own (see `unpack`).

mod layer;
mod layers;
mod progress;
mod resolve;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;

pub(crate) use layers::Layers;
use progress::Watched;
pub use progress::{Event, Progress};

use crate::error::{Error, Result};
use crate::image::{Image, Layer};
use crate::registry::Registry;
use crate::store::{Publication, Record, Store, layers_of, parse_config};
use crate::{Credentials, Digest, ImageConfig, Platform, Policy, Reference, Registries, Stop, policy};

/// Largest config that is read, in bytes.
pub(crate) const CONFIG_LIMIT: u64 = 8 << 20;

/// How to pull.
#[derive(Debug, Default)]
pub struct PullOptions {
    /// For which machines; `None`: this one.
    pub platform: Option<Platform>,
    /// Mirrors, insecure and blocked registries.
    pub registries: Registries,
    /// Who is asking.
    pub credentials: Credentials,
    /// Which images may come.
    pub policy: Policy,
    /// Whether the blobs of layers are kept beside their trees: a push to another registry, and `save`, then need not
    /// fetch them again. It goes for layers that are downloaded now.
    pub keep_blobs: bool,
    /// The pull is given up when it has not come on for so long, whoever it waits for; `None`: only single requests have limits.
    pub patience: Option<Duration>,
    /// Ends it early.
    pub stop: Stop,
}

/// A pulled image.
#[derive(Debug)]
pub struct Pulled {
    /// The image, complete.
    pub image: Image,
    /// What the name means in the registry: an index, or a manifest.
    pub digest: Digest,
    /// Whether anything was downloaded or the name moved.
    pub fresh: bool,
}

/// Brings the image `reference` into the store. Blocks until it is there; a failed pull leaves nothing but the layers that were
/// complete by then.
///
/// Two pulls that want the same layer at once download it once, also from different processes.
pub fn pull(store: &Store, reference: &Reference, options: &PullOptions, progress: &dyn Progress) -> Result<Pulled> {
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let watched = Watched::new(progress);
    let progress: &dyn Progress = &watched;
    let pulled = async {
        let registry = Registry::new(reference, &options.registries, &options.credentials, progress)?;
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let (policy, keep) = (&options.policy, options.keep_blobs);
        Pull { store, reference, platform: &platform, registry: &registry, progress, policy, keep }.run().await
    };
    let pulled = runtime.block_on(options.stop.or(async {
        match options.patience {
            None => pulled.await,
            Some(patience) => tokio::select! {
                pulled = pulled => pulled,
                () = watched.stalled(patience) => Err(Error::Stalled { reference: reference.familiar(), patience }),
            },
        }
    }));
    // Something may still wait in a thread for another process's lock.
    runtime.shutdown_background();
    pulled
}

/// One pull.
struct Pull<'a> {
    store: &'a Store,
    reference: &'a Reference,
    platform: &'a Platform,
    registry: &'a Registry<'a>,
    progress: &'a dyn Progress,
    policy: &'a Policy,
    keep: bool,
}

impl Pull<'_> {
    async fn run(&self) -> Result<Pulled> {
        let signed = self.policy.admits("docker", &policy::of_registry(self.reference), &self.reference.familiar())?;
        let resolved = self.resolve().await?;
        // From here on everything goes by these digests.
        let digests = [&resolved.manifest.digest, &resolved.target.digest];
        let digests = if digests[0] == digests[1] { &digests[..1] } else { &digests[..] };
        policy::check(self.policy, &signed, self.reference, self.registry, digests).await?;
        let digests: Vec<Digest> = resolved.layers.iter().map(|layer| layer.digest.clone()).collect();
        let lease = self.store.lease(digests.iter().chain([&resolved.config.digest]))?;
        let sizes: Vec<_> = resolved.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        self.progress.event(Event::Layers(&sizes));
        let layers = Layers { store: self.store, progress: self.progress, source: Some(self.reference), keep: self.keep };
        let (known, config) = watch::channel(None);
        let (stop, _) = watch::channel(false);
        let (config_bytes, downloaded) = tokio::join!(
            self.config(&resolved, &known, &stop),
            layers.fetch(&resolved.layers, &config, &stop, |blob| self.registry.content(blob, 0))
        );
        // Layers stop when the config fails, and then only say so.
        let (config_bytes, downloaded) = (config_bytes?, downloaded?);
        self.store.adopt(&digests)?;
        let record = Record {
            target: resolved.target.digest.clone(),
            manifest: resolved.manifest.digest.clone(),
            media_type: resolved.manifest.media_type.clone(),
            config: resolved.config.digest.clone(),
            layers: digests,
        };
        let mut blobs = vec![(&record.config, config_bytes.as_slice()), (&record.manifest, resolved.manifest.bytes.as_slice())];
        if record.target != record.manifest {
            blobs.push((&record.target, resolved.target.bytes.as_slice()));
        }
        let moved =
            self.store.publish(&Publication { names: std::slice::from_ref(self.reference), record: &record, blobs }, &lease)?;
        let image = self.store.load(&record, vec![self.reference.clone()])?;
        Ok(Pulled { image, digest: record.target.clone(), fresh: moved || downloaded })
    }

    /// Fetches and checks the config, and tells the layers what it says. If it fails they stop.
    async fn config(
        &self,
        resolved: &resolve::Resolved,
        known: &watch::Sender<Option<Vec<Layer>>>,
        stop: &watch::Sender<bool>,
    ) -> Result<Vec<u8>> {
        let (bytes, layers) = self.checked_config(resolved).await.inspect_err(|_| {
            let _ = stop.send_replace(true);
        })?;
        let _ = known.send(Some(layers));
        Ok(bytes)
    }

    async fn checked_config(&self, resolved: &resolve::Resolved) -> Result<(Vec<u8>, Vec<Layer>)> {
        let digest = &resolved.config.digest;
        let bytes = match self.store.read_blob("config", digest) {
            Ok(bytes) => bytes,
            Err(_) => self.registry.small("config", &resolved.config, CONFIG_LIMIT).await?,
        };
        let config = parse_config(digest, &bytes)?;
        self.check_platform(&config)?;
        let layers = layers_of(digest, &resolved.layers, &config)?;
        Ok((bytes, layers))
    }

    /// A name without an index behind it may be made for other machines.
    fn check_platform(&self, config: &ImageConfig) -> Result<()> {
        let have = config.platform();
        if self.platform.accepts(&have) {
            return Ok(());
        }
        Err(Error::WrongPlatform { reference: self.reference.familiar(), wanted: self.platform.clone(), have: vec![have] })
    }
}
