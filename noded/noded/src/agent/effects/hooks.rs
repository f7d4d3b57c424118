//! What containers want done after their start and before their end.

use api::kinds::pod::container::{Container, LifecycleHandler};

use super::super::actual::{Nanos, SECOND};
use super::super::{probe, tell};
use super::{Case, Shared};
use crate::cri::local;

/// What the container wants to do before it ends, within the time that it has.
pub(super) async fn pre_stop(shared: &Shared, case: &Case, spec: &Container, id: &str, until: Nanos) {
    let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
    let left = until.saturating_sub(engine::now());
    if let Some(hook) = hook.filter(|_| left > 0) {
        let seconds = i64::try_from(left.div_ceil(SECOND)).unwrap_or(i64::MAX);
        let work = handle(shared, case, spec, id, hook, seconds);
        let done = tokio::time::timeout(std::time::Duration::from_nanos(left), work).await;
        let failed = done.unwrap_or_else(|_| Err("it did not end within the grace period".to_owned())).err();
        if let (Some(why), Some(pod)) = (failed, &case.pod) {
            tell::event_of(shared, pod, &spec.name, "Warning", "FailedPreStopHook", &format!("PreStopHook failed: {why}"));
        }
    }
}

/// Does what a hook says; at most so many seconds, 0 without a limit.
pub(super) async fn handle(
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
