//! Making a pod's volumes.

use std::sync::Arc;

use api::kinds::pod::Pod;

use super::super::actual::{Nanos, SECOND};
use super::super::{fetch, volumes};
use super::{Case, Done, Failure, Shared, pull, sources_of};

/// How often files from objects of the API are looked at again.
const REFRESH: Nanos = 60 * SECOND;

/// Makes what is missing, and brings the rest up to date.
pub(super) async fn make(shared: &Shared, case: &Case, pod: &Arc<Pod>) -> Result<Done, Failure> {
    let failed = |why: String| ("FailedMount", why);
    if pod.spec.volumes.is_empty() {
        return Ok(Done::Volumes(Nanos::MAX));
    }
    if !case.again {
        let images = pod.spec.volumes.iter().filter_map(|volume| Some((volume, volume.image.as_ref()?)));
        for (volume, image) in images {
            let pulled = pull::pull(shared, pod, (image.reference.as_str(), image.pull_policy.as_str()), &|_, _| {}).await;
            pulled.map_err(|(reason, why)| failed(format!("volume {:?}: {reason}: {why}", volume.name)))?;
        }
    }
    let changes = volumes::may_change(pod);
    let (mut sources, mut tokens) = Default::default();
    if changes {
        sources = sources_of(shared, pod, !case.again).await.map_err(failed)?;
        tokens = fetch::tokens(&shared.api, &shared.fetched.tokens, pod).await.map_err(|error| failed(error.to_string()))?;
    }
    let (pod, place, case) = (Arc::clone(pod), shared.place.clone(), case.clone());
    let work = tokio::task::spawn_blocking(move || {
        let given = volumes::Given { pod: &pod, place: &place, sources: &sources, ips: &case.ips, tokens: &tokens, uid: &case.uid };
        volumes::make(&given)
    });
    work.await.map_err(|_| failed("making volumes failed in itself".to_owned()))?.map_err(failed)?;
    Ok(Done::Volumes(if changes { engine::now() + REFRESH } else { Nanos::MAX }))
}
