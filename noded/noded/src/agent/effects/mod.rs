//! What actions do. Each is a call of the node's own CRI, with what it needs from the API.

mod end;
mod hooks;
mod pull;
mod resize;
mod start;
mod volumes;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use tokio::sync::{Notify, watch};

use super::actual::{Action, Actual, Nanos, SECOND, name_of};
use super::api::Api;
use super::pressure::Pressure;
use super::shutdown::Shutdown;
use super::statics::{Mirrors, Statics};
use super::users::{self, Users};
use super::wanted::{self, Place, environment::Sources};
use super::{fetch, services, tell};
use crate::cri::local;
use crate::node::Node;

/// What all pods of the agent share.
#[derive(Debug)]
pub(super) struct Shared {
    /// What was told of pods lately.
    pub(super) events: tell::Events,
    pub(super) node: Arc<Node>,
    pub(super) api: Api,
    pub(super) place: Place,
    /// The node, as it was heard of last; before that, as this host sees it.
    pub(super) own: watch::Sender<Arc<api::kinds::node::Node>>,
    /// What services there are.
    pub(super) known: Arc<services::Known>,
    /// Whether the host goes down.
    pub(super) shutdown: Shutdown,
    pub(super) fetched: fetch::Fetched,
    /// Whose users are whose.
    pub(super) users: Arc<Users>,
    /// Told when an image was pulled.
    pub(super) pulled: Arc<Notify>,
    /// What this host's manifests say, and what the API shows of it; nothing before it has told all.
    pub(super) statics: watch::Sender<Statics>,
    pub(super) mirrors: watch::Sender<Option<Mirrors>>,
    /// Whether the host is short of something.
    pub(super) pressure: watch::Sender<Pressure>,
}

/// Why something did not work: one word, and a sentence.
pub(super) type Failure = (&'static str, String);

/// What came of an action.
#[derive(Debug)]
pub(super) enum Done {
    /// Volumes are good until then.
    Volumes(Nanos),
    /// The pod's id in the engine.
    Sandbox(String),
    Nothing,
}

/// A pod at the moment of an action.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) uid: String,
    /// None when the API does not know it any more.
    pub(super) pod: Option<Arc<Pod>>,
    /// Its id in the engine, and its addresses.
    pub(super) sandbox: Option<String>,
    pub(super) ips: Vec<String>,
    /// Its volumes are there already.
    pub(super) again: bool,
    /// Ids of containers that run, by name.
    pub(super) running: BTreeMap<String, String>,
}

impl Case {
    pub(super) fn new(uid: &str, pod: Option<Arc<Pod>>, actual: &Actual) -> Case {
        let sandbox = actual.sandbox();
        let ips = sandbox.map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        let again = actual.memory.volumes.is_some();
        let running = actual.running().map(|seen| (name_of(seen).to_owned(), seen.id.clone())).collect();
        Case { uid: uid.to_owned(), pod, sandbox: sandbox.map(|sandbox| sandbox.id.clone()), ips, again, running }
    }
}

/// Does an action.
pub(super) async fn act(shared: &Shared, case: &Case, action: &Action) -> Result<Done, Failure> {
    let node = &shared.node;
    let failed = |word: &'static str| move |status: tonic::Status| (word, status.message().to_owned());
    match (action, &case.pod) {
        (Action::Volumes, Some(pod)) => return volumes::make(shared, case, pod).await,
        (Action::Sandbox { attempt }, Some(pod)) => {
            let wrong = |why| ("FailedCreatePodSandBox", why);
            let resolvers = services::resolvers(node).map_err(|error| wrong(format!("find the resolvers: {error}")))?;
            let users = match pod.spec.host_users {
                Some(false) => Some(users::take(&shared.users, node, &case.uid).await.map_err(wrong)?),
                _ => None,
            };
            let (config, beyond) = wanted::sandbox(pod, *attempt, &shared.place, &resolvers, users).map_err(wrong)?;
            let handler = pod.spec.runtime_class_name.as_str();
            let id = local::run_pod(node, config, handler, beyond).await.map_err(failed("FailedCreatePodSandBox"))?;
            return Ok(Done::Sandbox(id));
        }
        (Action::Pull { container, .. }, Some(pod)) => {
            let spec = find(pod, container)?;
            let tell = |reason: &str, message: &str| tell::event_of(shared, pod, container, "Normal", reason, message);
            pull::pull(shared, pod, (spec.image.as_str(), spec.image_pull_policy.as_str()), &tell).await?;
        }
        (Action::Start { container, attempt, .. }, Some(pod)) => {
            let spec = find(pod, container)?;
            start::start(shared, case, pod, &spec, *attempt).await?;
        }
        (Action::Resize { id, limits, .. }, _) => resize::resize(shared, id, *limits).await?,
        (Action::Stop { container, id, until }, pod) => {
            let spec = pod.as_ref().and_then(|pod| find(pod, container).ok().map(|spec| (pod, spec)));
            if let Some((_, spec)) = spec {
                hooks::pre_stop(shared, case, &spec, id, *until).await;
            }
            let left = until.saturating_sub(engine::now()).div_ceil(SECOND);
            local::stop(node, id, i64::try_from(left).unwrap_or(i64::MAX)).await.map_err(failed("FailedKillPod"))?;
        }
        (Action::Remove { id }, _) => local::remove(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::StopSandbox { id }, _) => local::stop_pod(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::RemoveSandbox { id }, _) => local::remove_pod(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::Forget, pod) => end::forget(shared, case, pod.as_deref()).await?,
        // The API has forgotten it meanwhile.
        (Action::Volumes | Action::Sandbox { .. } | Action::Pull { .. } | Action::Start { .. }, None) => {}
    }
    Ok(Done::Nothing)
}

fn find<'a>(pod: &'a Pod, name: &str) -> Result<Cow<'a, Container>, Failure> {
    let mut all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let own = all.find(|container| container.name == name).map(Cow::Borrowed);
    let added = || pod.spec.ephemeral_containers.iter().find(|added| added.name == name).map(|added| Cow::Owned(added.container()));
    own.or_else(added).ok_or_else(|| ("CreateContainerConfigError", format!("there is no container {name}")))
}

async fn sources_of(shared: &Shared, pod: &Pod, fresh: bool) -> Result<Sources, String> {
    fetch::sources(&shared.api, &shared.fetched.seen, pod, fresh).await.map_err(|error| error.to_string())
}
