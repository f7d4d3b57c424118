//! Other resources for a container that runs.

use super::super::resize::Limits;
use super::{Failure, Shared};
use crate::cri::local;

/// Gives a container its resources. Less memory than it needs is not taken from it: the kernel would kill some of it.
pub(super) async fn resize(shared: &Shared, id: &str, limits: Limits) -> Result<(), Failure> {
    let wrong = |why: String| ("ResizeError", why);
    if limits.memory() > 0 {
        let used = local::memory(&shared.node, id).await.map_err(|status| wrong(status.message().to_owned()))?;
        let limit = u64::try_from(limits.memory()).unwrap_or(0);
        if used > limit {
            return Err(wrong(format!("attempting to set container memory limit ({limit}) below current usage ({used})")));
        }
    }
    local::update(&shared.node, id, limits.linux()).await.map_err(|status| wrong(status.message().to_owned()))
}
