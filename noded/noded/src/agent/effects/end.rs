//! The end of a pod on this node.

use std::sync::Arc;

use api::kinds::pod::Pod;
use serde_json::json;

use super::super::volumes;
use super::super::wanted::{self, Place};
use super::{Case, Failure, Shared};

/// Nothing runs any more: files go, and the API may forget the pod.
pub(super) async fn forget(shared: &Shared, case: &Case, pod: Option<&Pod>) -> Result<(), Failure> {
    let stuck = |what: &str, why: &dyn std::fmt::Display| ("FailedKillPod", format!("{what}: {why}"));
    let (place, uid, node) = (shared.place.clone(), case.uid.clone(), Arc::clone(&shared.node));
    let work = tokio::task::spawn_blocking(move || {
        for parent in wanted::cgroups(&uid, &place) {
            node.engine().remove_cgroup(&parent).map_err(std::io::Error::other)?;
        }
        volumes::remove(&uid, &place)?;
        remove_logs(&uid, &place)
    });
    let removed = work.await.map_err(|error| stuck("remove what is left", &error))?;
    removed.map_err(|error| stuck("remove what is left", &error))?;
    shared.fetched.tokens.forget(&case.uid);
    shared.users.forget(&case.uid);
    let Some(pod) = pod else { return Ok(()) };
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.metadata.namespace, pod.metadata.name);
    let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": case.uid } });
    match shared.api.delete(&path, &options).await {
        Err(error) if !error.is_missing() && !error.is_conflict() => Err(stuck("confirm its deletion", &error)),
        _ => Ok(()),
    }
}

/// Removes the folders of a pod's logs, whatever its name was.
fn remove_logs(uid: &str, place: &Place) -> std::io::Result<()> {
    let end = format!("_{uid}");
    for entry in std::fs::read_dir(&place.logs).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(&end) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
