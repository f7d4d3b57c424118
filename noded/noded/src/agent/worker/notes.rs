//! What is remembered of what was done.

use super::super::actual::{Action, Nanos, Problem, SECOND, SHORTEST};
use super::super::effects::{Done, Failure};
use super::super::next::STUCK;
use super::Worker;

impl Worker {
    /// Remembers what came of an action. Answers whether nothing is left of the pod.
    pub(super) fn note(&mut self, action: Action, result: Result<Done, Failure>) -> bool {
        self.doing.retain(|doing| *doing != action);
        let now = engine::now();
        if let Err((reason, message)) = &result {
            self.event("Warning", event_of(reason), message);
        }
        match (&action, result) {
            (Action::Forget, Ok(_)) => return true,
            (Action::Volumes, Ok(Done::Volumes(until))) => {
                self.memory.volumes = Some(until);
                self.memory.problem = None;
            }
            // What is there already stays as it is for now.
            (Action::Volumes, Err(_)) if self.memory.volumes.is_some() => self.memory.volumes = Some(now + 10 * SECOND),
            (Action::Sandbox { .. }, Ok(Done::Sandbox(id))) => {
                self.sandboxes.insert(0, id);
                self.memory.problem = None;
            }
            (Action::Volumes | Action::Sandbox { .. }, Err((reason, message))) => self.trouble(reason, message, now),
            (Action::Pull { container, attempt }, result) => {
                let before = self.memory.images.get(container).and_then(|(_, result)| result.as_ref().err());
                let result = result.map(drop);
                let result = result.map_err(|(reason, message)| Problem::again(before, reason, message, SHORTEST, now));
                self.memory.images.insert(container.clone(), (*attempt, result));
            }
            (Action::Start { container, pause, .. }, result) => {
                if let Some(pause) = pause {
                    self.memory.pauses.insert(container.clone(), *pause);
                }
                match result {
                    Ok(_) => drop(self.memory.problems.remove(container)),
                    Err((reason, message)) => {
                        let problem = Problem::again(self.memory.problems.get(container), reason, message, SHORTEST, now);
                        self.memory.problems.insert(container.clone(), problem);
                    }
                }
            }
            (Action::Resize { container, limits, .. }, result) => {
                let problems = &mut self.memory.resizing.problems;
                let before = problems.remove(container).filter(|(of, _)| of == limits).map(|(_, problem)| problem);
                if let Err((reason, message)) = result {
                    let problem = Problem::again(before.as_ref(), reason, message, SHORTEST, now);
                    problems.insert(container.clone(), (*limits, problem));
                }
            }
            (_, Err((_, message))) => self.trouble(STUCK, message, now),
            (_, Ok(_)) => {}
        }
        false
    }

    fn trouble(&mut self, reason: &str, message: String, now: Nanos) {
        self.memory.problem = Some(Problem::again(self.memory.problem.as_ref(), reason, message, SECOND, now));
    }
}

/// Events have words of their own for what containers say in their state.
fn event_of(reason: &str) -> &str {
    match reason {
        "FailedMount" | "FailedCreatePodSandBox" | "FailedKillPod" | "ResizeError" => reason,
        "PostStartHookError" => "FailedPostStartHook",
        "InvalidImageName" => "InspectFailed",
        _ => "Failed",
    }
}
