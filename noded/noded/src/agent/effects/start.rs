//! Starting a container: all that it needs is there, or it is said what is not.

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;

use super::super::wanted::environment::Sources;
use super::super::wanted::{container, environment};
use super::super::{last_words, services, tell, users, volumes};
use super::{Case, Failure, Shared, hooks, sources_of};
use crate::cri::local::{self, Beyond};

/// Makes and starts a container, and does what it wants done after that.
pub(super) async fn start(shared: &Shared, case: &Case, pod: &Pod, spec: &Container, attempt: u32) -> Result<(), Failure> {
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
        container::map(&mut config, users::take(&shared.users, &shared.node, &case.uid).await.map_err(wrong)?);
    }
    let said = |word| move |status: tonic::Status| (word, status.message().to_owned());
    let beyond = Beyond { rotation: Some(shared.place.rotation), parts };
    let id = local::create(&shared.node, sandbox, config, beyond).await.map_err(said("CreateContainerError"))?;
    let tell = |reason: &str, message: String| tell::event_of(shared, pod, &spec.name, "Normal", reason, &message);
    tell("Created", format!("Created container: {}", spec.name));
    local::start(&shared.node, &id).await.map_err(said("RunContainerError"))?;
    tell("Started", format!("Started container {}", spec.name));
    let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
    if let Some(hook) = hook
        && let Err(why) = hooks::handle(shared, case, spec, &id, hook, 0).await
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
