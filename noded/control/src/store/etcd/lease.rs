//! Events go by themselves: they hang on a lease. Those of a while share one.

use std::time::{Duration, Instant};

use etcd::LeaseGrantRequest;
use etcd::lease_client::LeaseClient;
use tokio::sync::Mutex;

use super::link::{Failed, Link};

/// How long an event is kept at least; Kubernetes keeps them as long.
const LIFE: Duration = Duration::from_secs(3600);
/// So long events get the same lease.
const SHARED: Duration = Duration::from_secs(60);

/// The lease that new events get.
#[derive(Default)]
pub(super) struct Current(Mutex<Option<(i64, Instant)>>);

impl Current {
    /// Its number.
    pub(super) async fn number(&self, link: &Link) -> Result<i64, Failed> {
        let mut kept = self.0.lock().await;
        if let Some((number, since)) = *kept
            && since.elapsed() < SHARED
        {
            return Ok(number);
        }
        let request = LeaseGrantRequest { ttl: i64::try_from((LIFE + SHARED).as_secs()).unwrap_or(i64::MAX) };
        // one that was granted and not answered goes by itself
        let granted = link.call(|channel| async move { LeaseClient::new(channel).lease_grant(request).await }).await?;
        let number = granted.said.id;
        *kept = Some((number, Instant::now()));
        Ok(number)
    }

    /// etcd does not know it any more.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}
