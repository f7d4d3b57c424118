//! GetContainerEvents.

use std::sync::Arc;

use cri::{ContainerEventResponse, ContainerEventType};
use futures_util::StreamExt as _;
use tokio::sync::{broadcast, watch};
use tonic::Status;

use super::{container, pod};
use crate::cri::Answer;
use crate::cri::stream::Answers;
use crate::events::Happened;
use crate::node::Node;

/// Tells of pods and containers from now on, each time with all that is known of the pod.
pub(in crate::cri) fn stream(node: &Arc<Node>, stopping: watch::Receiver<bool>) -> Answers<ContainerEventResponse> {
    let events = node.events.listen(node);
    let state = Some((Arc::clone(node), events, stopping));
    futures_util::stream::unfold(state, |state| async move {
        let (node, mut events, mut stopping) = state?;
        loop {
            let happened = tokio::select! {
                happened = events.recv() => happened,
                _ = stopping.wait_for(|stopping| *stopping) => return None,
            };
            match happened {
                Ok(happened) => {
                    if let Some(answer) = seen(&node, happened).await {
                        return Some((answer, Some((node, events, stopping))));
                    }
                }
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    // Whoever listens has to list everything anew, and to come again.
                    return Some((Err(Status::data_loss(format!("{count} events were missed"))), None));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
    .boxed()
}

/// None for what is no pod's.
async fn seen(node: &Arc<Node>, happened: Happened) -> Option<Answer<ContainerEventResponse>> {
    let node = Arc::clone(node);
    let view = tokio::task::spawn_blocking(move || view(&node, &happened)).await;
    view.unwrap_or_else(|_| Some(Err(Status::internal("an event could not be told"))))
}

fn view(node: &Node, happened: &Happened) -> Option<Answer<ContainerEventResponse>> {
    let pod_id = match &happened.pod {
        Some(pod) => pod.clone(),
        None => container::maybe(node, &happened.id).ok().flatten()?.pod,
    };
    let found = match &happened.gone {
        Some(pod) => Some(pod::view::status(pod)),
        None => pod::maybe(node, &pod_id).ok().flatten().as_ref().map(pod::view::status),
    };
    Some(Ok(ContainerEventResponse {
        container_id: happened.id.clone(),
        container_event_type: ContainerEventType::into(happened.kind),
        created_at: i64::try_from(happened.nanos).unwrap_or(i64::MAX),
        pod_sandbox_status: found,
        containers_statuses: container::statuses(node, &pod_id).unwrap_or_default(),
    }))
}
