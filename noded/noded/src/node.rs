//! What all calls share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use engine::Engine;
use images::{Credentials, PullOptions};

use crate::config::Config;
use crate::once::Once;

/// The engine, the configuration, and the work that several callers may join.
#[derive(Debug)]
pub(crate) struct Node {
    engine: Engine,
    /// As it was at the start, but for what a reload has changed.
    config: RwLock<Arc<Config>>,
    /// Pulls, by image and by who asks.
    pub(crate) pulls: Once<String>,
}

impl Node {
    /// Opens the engine's folders.
    pub(crate) fn open(config: Config) -> Result<Node> {
        let engine = Engine::open(config.engine()?)?;
        Ok(Node { engine, config: RwLock::new(Arc::new(config)), pulls: Once::default() })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The configuration as it is now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what of a configuration may change, and answers what may not.
    pub(crate) fn reload(&self, new: &Config) -> Vec<&'static str> {
        let old = self.config();
        let Config { images, log, registry, .. } = new.clone();
        let mixed = Config { images, log, registry, ..Config::clone(&old) };
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mixed);
        old.fixed_differences(new)
    }

    /// How to pull. Without credentials of its own a pull goes by the host's logins.
    pub(crate) fn pull_options(&self, credentials: Option<Credentials>) -> Result<PullOptions> {
        let config = self.config();
        let credentials = match credentials {
            Some(credentials) => credentials,
            None => Credentials::load(&config.images.logins)?,
        };
        let patience = Some(Duration::from_secs(config.images.patience)).filter(|patience| !patience.is_zero());
        Ok(PullOptions { platform: None, registries: config.registries()?, credentials, keep_blobs: false, patience })
    }
}
