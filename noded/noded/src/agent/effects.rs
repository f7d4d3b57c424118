//! What actions do. Each is a call of the node's own CRI, with what it needs from the API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, LifecycleHandler};
use serde_json::json;
use tokio::sync::watch;

use super::actual::{Action, Actual, Nanos, SECOND, name_of};
use super::api::Api;
use super::pressure::Pressure;
use super::shutdown::Shutdown;
use super::statics::{Mirrors, Statics};
use super::users::Users;
use super::wanted::{self, Place, container, environment, environment::Sources};
use super::{fetch, last_words, probe, services, volumes};
use crate::cri::local::{self, Beyond};
use crate::node::Node;

/// How often files from objects of the API are looked at again.
const REFRESH: Nanos = 60 * SECOND;

/// What all pods of the agent share.
#[derive(Debug)]
pub(super) struct Shared {
    /// What was told of pods lately.
    pub(super) events: control::events::Correlator,
    pub(super) node: Arc<Node>,
    pub(super) api: Api,
    pub(super) place: Place,
    /// What services there are.
    pub(super) known: Arc<services::Known>,
    /// Whether the host goes down.
    pub(super) shutdown: Shutdown,
    pub(super) fetched: fetch::Fetched,
    /// Whose users are whose.
    pub(super) users: Users,
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
        (Action::Volumes, Some(pod)) => return make_volumes(shared, case, pod).await,
        (Action::Sandbox { attempt }, Some(pod)) => {
            let wrong = |why| ("FailedCreatePodSandBox", why);
            let resolvers = services::resolvers(node).map_err(|error| wrong(format!("find the resolvers: {error}")))?;
            let own = pod.spec.host_users == Some(false);
            let users = own.then(|| shared.users.take(node, &case.uid)).transpose().map_err(wrong)?;
            let (config, beyond) = wanted::sandbox(pod, *attempt, &shared.place, &resolvers, users).map_err(wrong)?;
            let handler = pod.spec.runtime_class_name.as_str();
            let id = local::run_pod(node, config, handler, beyond).await.map_err(failed("FailedCreatePodSandBox"))?;
            return Ok(Done::Sandbox(id));
        }
        (Action::Pull { container, .. }, Some(pod)) => {
            let spec = find(pod, container)?;
            pull(shared, pod, &spec.image, &spec.image_pull_policy).await?;
        }
        (Action::Start { container, attempt, .. }, Some(pod)) => {
            let spec = find(pod, container)?;
            start(shared, case, pod, &spec, *attempt).await?;
        }
        (Action::Stop { container, id, until }, pod) => {
            let spec = pod.as_ref().and_then(|pod| find(pod, container).ok().map(|spec| (pod, spec)));
            if let Some((_, spec)) = spec {
                pre_stop(shared, case, &spec, id, *until).await;
            }
            let left = until.saturating_sub(engine::now()).div_ceil(SECOND);
            local::stop(node, id, i64::try_from(left).unwrap_or(i64::MAX)).await.map_err(failed("FailedKillPod"))?;
        }
        (Action::Remove { id }, _) => local::remove(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::StopSandbox { id }, _) => local::stop_pod(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::RemoveSandbox { id }, _) => local::remove_pod(node, id).await.map_err(failed("FailedKillPod"))?,
        (Action::Forget, pod) => forget(shared, case, pod.as_deref()).await?,
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

async fn make_volumes(shared: &Shared, case: &Case, pod: &Arc<Pod>) -> Result<Done, Failure> {
    let failed = |why: String| ("FailedMount", why);
    if pod.spec.volumes.is_empty() {
        return Ok(Done::Volumes(Nanos::MAX));
    }
    if !case.again {
        let images = pod.spec.volumes.iter().filter_map(|volume| Some((volume, volume.image.as_ref()?)));
        for (volume, image) in images {
            let pulled = pull(shared, pod, &image.reference, &image.pull_policy).await;
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

/// What to do about an image.
#[derive(Debug, PartialEq, Eq)]
enum Image {
    Use,
    Pull,
    Missing,
}

fn image(policy: &str, present: bool) -> Image {
    match (policy, present) {
        ("Never", false) => Image::Missing,
        ("Never" | "IfNotPresent" | "", true) => Image::Use,
        _ => Image::Pull,
    }
}

async fn pull(shared: &Shared, pod: &Pod, name: &str, policy: &str) -> Result<(), Failure> {
    let reference: images::Reference =
        name.parse().map_err(|error| ("InvalidImageName", format!("Failed to apply default image tag {name:?}: {error}")))?;
    let said = |status: tonic::Status| ("ErrImagePull", status.message().to_owned());
    let present = local::image(&shared.node, name).await.map_err(said)?.is_some();
    match image(policy, present) {
        Image::Use => Ok(()),
        Image::Missing => Err(("ErrImageNeverPull", format!("Container image {name:?} is not present with pull policy of Never"))),
        Image::Pull => {
            let mut login = None;
            if !pod.spec.image_pull_secrets.is_empty() {
                let sources = sources_of(shared, pod, true).await.map_err(|why| ("ErrImagePull", why))?;
                login = fetch::login(pod, &sources, reference.registry());
            }
            local::pull(&shared.node, name, login).await.map_err(said)
        }
    }
}

async fn start(shared: &Shared, case: &Case, pod: &Pod, spec: &Container, attempt: u32) -> Result<(), Failure> {
    let wrong = |why: String| ("CreateContainerConfigError", why);
    let sandbox = case.sandbox.as_ref().ok_or_else(|| wrong("the pod is not there".to_owned()))?;
    let mut sources = Sources::default();
    let from_api = !spec.env_from.is_empty() || spec.env.iter().any(|variable| variable.value_from.is_some());
    if from_api {
        sources = sources_of(shared, pod, true).await.map_err(wrong)?;
    }
    let links = services::links(&shared.known, pod).await;
    let variables = environment::environment(pod, spec, &sources, &case.ips, &shared.place, links).map_err(wrong)?;
    let (mut config, parts) =
        container::config(pod, spec, attempt, &variables, &volumes::backings(pod, &shared.place)).map_err(wrong)?;
    container::aim(&mut config, pod, &case.running).map_err(wrong)?;
    not_root(shared, pod, spec).await?;
    user_of_image(shared, &mut config).await?;
    let words = last_words::make(&shared.place, &case.uid, spec, attempt);
    config.mounts.extend(words.map_err(|error| wrong(format!("make the file for terminationMessagePath: {error}")))?);
    if pod.spec.host_users == Some(false) {
        container::map(&mut config, shared.users.take(&shared.node, &case.uid).map_err(wrong)?);
    }
    let said = |word| move |status: tonic::Status| (word, status.message().to_owned());
    let beyond = Beyond { rotation: Some(shared.place.rotation), parts };
    let id = local::create(&shared.node, sandbox, config, beyond).await.map_err(said("CreateContainerError"))?;
    local::start(&shared.node, &id).await.map_err(said("RunContainerError"))?;
    let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    if let Some(hook) = hook
        && let Err(why) = handle(shared, case, spec, &id, hook, 0).await
    {
        let _ = local::stop(&shared.node, &id, 0).await;
        return Err(("PostStartHookError", why));
    }
    Ok(())
}

/// A container that must not run as root does not, whatever its image says.
async fn not_root(shared: &Shared, pod: &Pod, spec: &Container) -> Result<(), Failure> {
    let wrong = |why: &str| Err(("CreateContainerConfigError", why.to_owned()));
    let own = spec.security_context.clone().unwrap_or_default();
    let all = pod.spec.security_context.clone().unwrap_or_default();
    if own.run_as_non_root.or(all.run_as_non_root) != Some(true) || own.run_as_user.or(all.run_as_user).is_some() {
        return Ok(());
    }
    let found = local::image(&shared.node, &spec.image).await.ok().flatten().unwrap_or_default();
    match (found.uid.map(|uid| uid.value), found.username.as_str()) {
        (Some(0), _) | (None, "" | "root") => wrong("container has runAsNonRoot and image will run as root"),
        (None, _) => wrong("container has runAsNonRoot and image has non-numeric user, cannot verify user is non-root"),
        _ => Ok(()),
    }
}

/// A container that is told its group and not its user has the user of its image.
async fn user_of_image(shared: &Shared, config: &mut cri::ContainerConfig) -> Result<(), Failure> {
    let image = config.image.as_ref().map(|image| image.image.clone()).unwrap_or_default();
    let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut());
    let Some(security) = security.filter(|of| of.run_as_group.is_some() && of.run_as_user.is_none()) else { return Ok(()) };
    let found = local::image(&shared.node, &image).await;
    let found = found.map_err(|status| ("CreateContainerConfigError", status.message().to_owned()))?.unwrap_or_default();
    match found.uid {
        None if !found.username.is_empty() => security.run_as_username = found.username,
        uid => security.run_as_user = Some(uid.unwrap_or_default()),
    }
    Ok(())
}

/// What the container wants to do before it ends, within the time that it has.
async fn pre_stop(shared: &Shared, case: &Case, spec: &Container, id: &str, until: Nanos) {
    let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let left = until.saturating_sub(engine::now());
    if let Some(hook) = hook.filter(|_| left > 0) {
        let seconds = i64::try_from(left.div_ceil(SECOND)).unwrap_or(i64::MAX);
        let work = handle(shared, case, spec, id, hook, seconds);
        let _ = tokio::time::timeout(std::time::Duration::from_nanos(left), work).await;
    }
}

/// Does what a hook says; at most so many seconds, 0 without a limit.
async fn handle(
    shared: &Shared,
    case: &Case,
    spec: &Container,
    id: &str,
    hook: &LifecycleHandler,
    seconds: i64,
) -> Result<(), String> {
    if let Some(exec) = &hook.exec {
        let answer = local::exec(&shared.node, id, exec.command.clone(), seconds).await;
        return match answer {
            Ok(answer) if answer.exit_code == 0 => Ok(()),
            Ok(answer) => Err(format!("Exec lifecycle hook: exit code {}", answer.exit_code)),
            Err(status) => Err(status.message().to_owned()),
        };
    }
    if let Some(get) = &hook.http_get {
        let ip = case.ips.first().map_or(shared.place.host.as_str(), String::as_str);
        return probe::get(get, spec, ip).await;
    }
    if let Some(sleep) = &hook.sleep {
        tokio::time::sleep(std::time::Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
    }
    Ok(())
}

/// Nothing runs any more: files go, and the API may forget the pod.
async fn forget(shared: &Shared, case: &Case, pod: Option<&Pod>) -> Result<(), Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_say_when_an_image_is_pulled() {
        for (policy, present, expected) in [
            ("Always", true, Image::Pull),
            ("Always", false, Image::Pull),
            ("IfNotPresent", true, Image::Use),
            ("IfNotPresent", false, Image::Pull),
            ("Never", true, Image::Use),
            ("Never", false, Image::Missing),
        ] {
            assert_eq!(image(policy, present), expected, "{policy} {present}");
        }
    }
}
