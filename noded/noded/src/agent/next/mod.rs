//! What to do next for a pod: a function of what is desired, what is, and the time.

mod end;
#[cfg(test)]
mod tests;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use cri::{ContainerState, ContainerStatus};

use super::actual::{Action, Actual, Nanos, SECOND, attempt_of, finished, may_start, name_of, next_pause};
use super::resize::{Limits, changed};

pub(super) use end::{Outcome, STUCK, outcome};

/// What is to be done now, and when to look again if nothing happens before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) actions: Vec<Action>,
    pub(super) wake: Option<Nanos>,
}

impl Next {
    fn one(action: Action) -> Next {
        Next { actions: vec![action], wake: None }
    }

    fn at(time: Nanos) -> Next {
        Next { actions: Vec::new(), wake: Some(time) }
    }

    fn add(&mut self, other: Next) {
        self.actions.extend(other.actions);
        self.wake = self.wake.into_iter().chain(other.wake).min();
    }
}

/// What to do for a pod. Without `pod` the API does not know it any more: all of it has to go.
pub(super) fn next(pod: Option<&Pod>, actual: &Actual, now: Nanos) -> Next {
    if actual.doing.contains(&Action::Forget) {
        // A static pod that comes again begins when nothing is left of what there was.
        return Next::default();
    }
    let mut next = match pod {
        None => end::all(None, actual, now),
        Some(pod) if pod.metadata.deletion_timestamp.is_some() => end::all(Some(pod), actual, now),
        Some(pod) => match outcome(pod, actual, now) {
            Some(_) => end::finished(pod, actual, now),
            None => {
                let mut next = go_on(pod, actual, now);
                next.add(Next { actions: Vec::new(), wake: end::deadline(pod, actual) });
                next
            }
        },
    };
    next.actions.retain(|action| !is_done(action, actual));
    next
}

/// Whether somebody does it already.
fn is_done(action: &Action, actual: &Actual) -> bool {
    actual.doing.iter().any(|doing| match (doing, action) {
        // The same start, whatever its pause has become by now.
        (Action::Start { container, .. }, Action::Start { container: other, .. }) => container == other,
        (doing, action) => doing == action,
    })
}

/// A pod that is to run.
fn go_on(pod: &Pod, actual: &Actual, now: Nanos) -> Next {
    let mut next = Next::default();
    let memory = &actual.memory;
    if let Some(problem) = memory.problem.as_ref().filter(|problem| problem.until > now) {
        return Next::at(problem.until);
    }
    match memory.volumes {
        Some(until) if until > now => next.wake = Some(until),
        _ => next.actions.push(Action::Volumes),
    }
    match actual.sandbox() {
        None => {
            next.actions.push(Action::Sandbox { attempt: 0 });
            return next;
        }
        Some(sandbox) if !sandbox.ready => {
            // What was in it has ended with it.
            if actual.running().next().is_none() {
                next.actions.push(Action::Sandbox { attempt: sandbox.attempt + 1 });
            }
            return next;
        }
        Some(_) => {}
    }
    let sandboxes = actual.sandboxes.iter().skip(1);
    next.actions.extend(sandboxes.map(|sandbox| Action::RemoveSandbox { id: sandbox.id.clone() }));
    for added in &pod.spec.ephemeral_containers {
        // Whatever became of it, it is started once.
        if actual.newest(&added.name).is_some() || !memory.attempts.contains_key(&added.name) {
            next.add(container(pod, &added.container(), "Never", actual, now));
        }
    }
    for init in &pod.spec.init_containers {
        let sidecar = init.restart_policy == "Always";
        let policy = match (sidecar, pod.spec.restart_policy.as_str()) {
            (true, _) => "Always",
            (false, "Never") => "Never",
            // It has to succeed once.
            (false, _) => "OnFailure",
        };
        let seen = actual.newest(&init.name);
        if !sidecar && begun(pod, actual) {
            continue;
        }
        next.add(container(pod, init, policy, actual, now));
        let passed = if sidecar { seen.is_some_and(|seen| is_started(init, seen, actual)) } else { seen.is_some_and(succeeded) };
        if !passed {
            return next;
        }
    }
    for main in &pod.spec.containers {
        next.add(container(pod, main, &pod.spec.restart_policy, actual, now));
    }
    next
}

/// Whether init containers are through, because one of the others was made.
pub(super) fn begun(pod: &Pod, actual: &Actual) -> bool {
    let sandbox = actual.sandbox().map_or(0, |sandbox| sandbox.attempt);
    // After a new beginning of the pod they run again, as their work may be lost.
    pod.spec.containers.iter().any(|main| actual.newest(&main.name).is_some())
        && (sandbox == 0 || actual.running().next().is_some())
}

pub(super) fn succeeded(container: &ContainerStatus) -> bool {
    container.state() == ContainerState::ContainerExited && container.exit_code == 0
}

/// Whether a container runs, and its startup probe, if it has one, has succeeded.
pub(super) fn is_started(spec: &Container, seen: &ContainerStatus, actual: &Actual) -> bool {
    seen.state() == ContainerState::ContainerRunning
        && (spec.startup_probe.is_none() || actual.health(&seen.id).is_some_and(|health| health.started))
}

/// Whether a container that has ended is started again.
pub(super) fn restarts(policy: &str, seen: &ContainerStatus, actual: &Actual) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => seen.exit_code != 0 || actual.memory.resizing.restarts.contains_key(&seen.id),
        _ => true,
    }
}

/// One container of a pod that is ready for it.
fn container(pod: &Pod, spec: &Container, policy: &str, actual: &Actual, now: Nanos) -> Next {
    let name = &spec.name;
    let Some(seen) = actual.newest(name) else {
        let before = actual.memory.attempts.get(name).copied().unwrap_or(0);
        return start(name, before, None, actual, now);
    };
    let mut next = match seen.state() {
        ContainerState::ContainerRunning => match actual.health(&seen.id).and_then(|health| health.failed) {
            None => resize(pod, spec, seen, actual, now),
            Some((since, grace)) => end(pod, seen, since, grace),
        },
        // Made by an agent that was stopped before it could start it, or that failed to.
        ContainerState::ContainerCreated => start(name, attempt_of(seen), None, actual, now),
        _ if !restarts(policy, seen, actual) => Next::default(),
        _ => {
            let pause = actual.memory.pauses.get(name).copied();
            let ended = finished(seen);
            match may_start(pause, ended) {
                time if time > now => Next::at(time),
                _ => start(name, attempt_of(seen) + 1, Some(next_pause(pause, ended)), actual, now),
            }
        }
    };
    // The one before is kept: it says how it ended.
    let old = actual.all(name).skip(2).map(|old| Action::Remove { id: old.id.clone() });
    next.actions.extend(old);
    next
}

/// A container that runs ends, and is started again.
fn end(pod: &Pod, seen: &ContainerStatus, since: Nanos, grace: Option<i64>) -> Next {
    let grace = grace.or(pod.spec.termination_grace_period_seconds).unwrap_or(30);
    let until = since + SECOND * u64::try_from(grace).unwrap_or(0);
    Next::one(Action::Stop { container: name_of(seen).to_owned(), id: seen.id.clone(), until })
}

/// A container that runs gets the resources that it is to have.
fn resize(pod: &Pod, spec: &Container, seen: &ContainerStatus, actual: &Actual, now: Nanos) -> Next {
    let resizing = &actual.memory.resizing;
    if let Some(since) = resizing.restarts.get(&seen.id) {
        return end(pod, seen, *since, None);
    }
    if changed(spec, seen).is_empty() {
        return Next::default();
    }
    let limits = Limits::of(&spec.resources.clone().unwrap_or_default());
    match resizing.problems.get(&spec.name).filter(|(of, problem)| *of == limits && problem.until > now) {
        Some((_, problem)) => Next::at(problem.until),
        None => Next::one(Action::Resize { container: spec.name.clone(), id: seen.id.clone(), limits }),
    }
}

/// First the image, then the container.
fn start(name: &str, attempt: u32, pause: Option<super::actual::Pause>, actual: &Actual, now: Nanos) -> Next {
    let memory = &actual.memory;
    if memory.volumes.is_none() {
        return Next::default();
    }
    if let Some(problem) = memory.problems.get(name).filter(|problem| problem.until > now) {
        return Next::at(problem.until);
    }
    match memory.images.get(name) {
        Some((known, Ok(()))) if *known == attempt => Next::one(Action::Start { container: name.to_owned(), attempt, pause }),
        Some((_, Err(problem))) if problem.until > now => {
            // What is shown changes a moment after the failure.
            let shown = problem.at + SECOND;
            Next::at(if shown > now { shown } else { problem.until })
        }
        _ => Next::one(Action::Pull { container: name.to_owned(), attempt }),
    }
}
