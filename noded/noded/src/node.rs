//! What all calls share.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Result, ensure};
use engine::Engine;
use images::{Credentials, PullOptions};
use streaming::Jobs;
use tokio::sync::watch;

use crate::config::Config;
use crate::cri::{self, Mirror};
use crate::events::Events;
use crate::host::log;
use crate::once::Once;
use crate::samples::Samples;

/// A call that is being done.
pub(crate) struct Call<'a>(&'a Node);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.send_modify(|calls| *calls -= 1);
    }
}

/// The engine, the configuration, and the work that several callers may join.
#[derive(Debug)]
pub(crate) struct Node {
    engine: Engine,
    /// As it was at the start, but for what a reload has changed.
    config: RwLock<Arc<Config>>,
    /// Pulls, by image and by who asks.
    pub(crate) pulls: Once<String>,
    /// Pods that are being made, by who they are.
    pub(crate) pods: Once<String>,
    /// Containers that are being made, by who they are.
    pub(crate) containers: Once<String>,
    /// Calls that are being done.
    calls: watch::Sender<usize>,
    /// Streams that wait for their clients.
    pub(crate) jobs: Arc<Jobs>,
    /// Pods and containers, as they are in the engine's folders.
    pub(crate) mirror: Mirror,
    /// Who is told of what happens.
    pub(crate) events: Events,
    /// How fast processor time was used.
    pub(crate) samples: Samples,
}

impl Node {
    /// Opens the engine's folders. `base` is what addresses of streams begin with.
    pub(crate) fn open(config: Config, base: &str) -> Result<Node> {
        let engine = Engine::open(config.engine()?)?;
        if let Some(wanted) = config.pod_cidr()? {
            let counts = engine.choose_subnet(wanted)?;
            ensure!(counts == wanted, "cri.pod_cidr: pods have addresses in {counts} already: remove them and the bridge first");
        }
        for taken in engine.hold_ports()? {
            log::failed("hold the port of a pod", &taken);
        }
        Ok(Node {
            engine,
            config: RwLock::new(Arc::new(config)),
            pulls: Once::default(),
            pods: Once::default(),
            containers: Once::default(),
            calls: watch::Sender::new(0),
            jobs: Arc::new(Jobs::new(base)),
            mirror: cri::mirror(),
            events: Events::default(),
            samples: Samples::default(),
        })
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A call is being done for as long as this lives.
    pub(crate) fn begin(&self) -> Call<'_> {
        self.calls.send_modify(|calls| *calls += 1);
        Call(self)
    }

    /// Waits until no call is being done.
    pub(crate) async fn idle(&self) {
        // The sender is this node's own.
        let _ = self.calls.subscribe().wait_for(|calls| *calls == 0).await;
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
        let policy = images::Policy::load(&["/etc/containers/policy.json".into()])?;
        Ok(PullOptions { registries: config.registries()?, credentials, policy, patience, ..PullOptions::default() })
    }
}
