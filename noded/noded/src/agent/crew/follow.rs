//! What the API says of the pods of this node.

use std::time::Duration;

use tokio::sync::mpsc;

use super::super::api::Refused;
use super::super::effects::Shared;
use super::Heard;
use crate::host::retry::Retry;

/// Follows the pods of this node for ever.
pub(in super::super) async fn follow(shared: &Shared, to: mpsc::Sender<Heard>) {
    let mut retry = Retry::new(Duration::from_secs(5));
    while !to.is_closed() {
        match watch(shared, &to).await {
            Ok(()) => retry.works(),
            Err(error) => tokio::time::sleep(retry.failed("watch the pods of this node", &error)).await,
        }
    }
}

/// Follows one watch to its end. It begins with all pods that there are.
async fn watch(shared: &Shared, to: &mpsc::Sender<Heard>) -> Result<(), Refused> {
    let path = format!(
        "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        shared.place.node
    );
    let mut watch = shared.api.watch(&path).await?;
    let _ = to.send(Heard::Begin).await;
    while let Some(mut event) = watch.next().await? {
        let object = event["object"].take();
        let heard = match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => Heard::Pod(object),
            Some("DELETED") => Heard::Gone(object),
            Some("BOOKMARK") if !object["metadata"]["annotations"]["k8s.io/initial-events-end"].is_null() => Heard::All,
            Some("ERROR") => {
                let message = object["message"].as_str().unwrap_or_default().to_owned();
                return Err(Refused::Status { code: 410, message });
            }
            _ => continue,
        };
        if to.send(heard).await.is_err() {
            break;
        }
    }
    Ok(())
}
