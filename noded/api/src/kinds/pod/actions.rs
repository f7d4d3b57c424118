//! Rules of probes and of what is run at a container's start and end.

use serde_json::json;

use super::container::{Container, ExecAction, LifecycleHandler, Probe};
use crate::errors::{FieldError, FieldErrors};

/// Checks the probes and hooks of a container; `grace` is how long its pod has to end.
pub(super) fn validate(container: &Container, grace: i64, path: &str, errors: &mut FieldErrors) {
    let probes = [
        (&container.liveness_probe, "livenessProbe"),
        (&container.readiness_probe, "readinessProbe"),
        (&container.startup_probe, "startupProbe"),
    ];
    for (probe, name) in probes {
        let Some(probe) = probe else { continue };
        let path = format!("{path}.{name}");
        self::probe(probe, &path, errors);
        if name == "readinessProbe" {
            if let Some(seconds) = probe.termination_grace_period_seconds {
                let field = format!("{path}.terminationGracePeriodSeconds");
                errors.push(FieldError::invalid(field, &json!(seconds), "must not be set for readinessProbes".into()));
            }
        } else if probe.success_threshold != 1 {
            let field = format!("{path}.successThreshold");
            errors.push(FieldError::invalid(field, &json!(probe.success_threshold), "must be 1".into()));
        }
    }
    let Some(lifecycle) = &container.lifecycle else { return };
    for (hook, name) in [(&lifecycle.post_start, "postStart"), (&lifecycle.pre_stop, "preStop")] {
        if let Some(hook) = hook {
            self::hook(hook, grace, &format!("{path}.lifecycle.{name}"), errors);
        }
    }
}

fn probe(probe: &Probe, path: &str, errors: &mut FieldErrors) {
    let all = [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    one(&all, path, errors);
    exec(probe.exec.as_ref(), path, errors);
}

fn hook(hook: &LifecycleHandler, grace: i64, path: &str, errors: &mut FieldErrors) {
    one(&[hook.exec.is_some(), hook.http_get.is_some(), hook.tcp_socket.is_some(), hook.sleep.is_some()], path, errors);
    exec(hook.exec.as_ref(), path, errors);
    if let Some(sleep) = hook.sleep.as_ref().filter(|sleep| !(0..=grace).contains(&sleep.seconds)) {
        let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(format!("{path}.sleep"), &json!(sleep.seconds), why));
    }
}

/// One thing is done, and not several.
fn one(all: &[bool], path: &str, errors: &mut FieldErrors) {
    match all.iter().filter(|is_there| **is_there).count() {
        0 => errors.push(FieldError::required(path, "must specify a handler type")),
        1 => {}
        _ => errors.push(FieldError::forbidden(path, "may not specify more than 1 handler type")),
    }
}

fn exec(exec: Option<&ExecAction>, path: &str, errors: &mut FieldErrors) {
    if exec.is_some_and(|exec| exec.command.is_empty()) {
        errors.push(FieldError::required(format!("{path}.exec.command"), ""));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn errors(mut container: Value) -> Vec<String> {
        container["name"] = "a".into();
        let mut errors = FieldErrors::new();
        crate::schema::fill_defaults(&mut container, Container::TABLE);
        validate(&serde_json::from_value(container).unwrap(), 30, "c", &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_probe_is_one_question() {
        for (container, why) in [
            (json!({"livenessProbe": {}}), "c.livenessProbe: Required value: must specify a handler type"),
            (
                json!({"livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 1}}}),
                "c.livenessProbe: Forbidden: may not specify more than 1 handler type",
            ),
            (json!({"startupProbe": {"exec": {}}}), "c.startupProbe.exec.command: Required value"),
            (
                json!({"startupProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}}),
                "c.startupProbe.successThreshold: Invalid value: 2: must be 1",
            ),
            (
                json!({"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 3}}),
                "c.readinessProbe.terminationGracePeriodSeconds: Invalid value: 3: must not be set for readinessProbes",
            ),
        ] {
            assert_eq!(errors(container.clone()), [why], "{container}");
        }
        let good =
            json!({"readinessProbe": {"grpc": {"port": 1}, "successThreshold": 3}, "livenessProbe": {"exec": {"command": ["a"]}}});
        assert_eq!(errors(good), [""; 0]);
    }

    #[test]
    fn hooks_end_in_time() {
        let with = |hook: Value| errors(json!({"lifecycle": {"preStop": hook}}));
        assert_eq!(with(json!({"sleep": {"seconds": 30}})), [""; 0]);
        let why = "must be non-negative and less than terminationGracePeriodSeconds (30)";
        for seconds in [-1, 31] {
            let said = [format!("c.lifecycle.preStop.sleep: Invalid value: {seconds}: {why}")];
            assert_eq!(with(json!({"sleep": {"seconds": seconds}})), said);
        }
        assert_eq!(with(json!({})), ["c.lifecycle.preStop: Required value: must specify a handler type"]);
    }
}
