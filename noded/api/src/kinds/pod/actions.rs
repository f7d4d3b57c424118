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
    if !lifecycle.stop_signal.is_empty() && !is_signal(&lifecycle.stop_signal) {
        errors.push(FieldError::unsupported(format!("{path}.lifecycle.stopSignal"), &lifecycle.stop_signal, &SIGNALS));
    }
    for (hook, name) in [(&lifecycle.post_start, "postStart"), (&lifecycle.pre_stop, "preStop")] {
        if let Some(hook) = hook {
            self::hook(hook, grace, &format!("{path}.lifecycle.{name}"), errors);
        }
    }
}

/// Signals of Linux, but for those of real time.
const SIGNALS: [&str; 34] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

/// Those of real time are counted from the first one up to 15, and from the last one down to 14.
fn is_signal(name: &str) -> bool {
    let counted = |beginning: &str, sign: char, most: u8| {
        let Some(rest) = name.strip_prefix(beginning) else { return false };
        rest.is_empty() || rest.strip_prefix(sign).is_some_and(|text| (1..=most).any(|number| number.to_string() == text))
    };
    SIGNALS.contains(&name) || counted("SIGRTMIN", '+', 15) || counted("SIGRTMAX", '-', 14)
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
    fn signals_are_those_of_linux() {
        let with = |signal: &str| errors(json!({"lifecycle": {"stopSignal": signal}})).len();
        for signal in ["SIGTERM", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMIN+15", "SIGRTMAX-14", ""] {
            assert_eq!(with(signal), 0, "{signal}");
        }
        for signal in ["TERM", "sigterm", "SIGRTMIN+16", "SIGRTMIN+01", "SIGRTMAX+1", "9"] {
            assert_eq!(with(signal), 1, "{signal}");
        }
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
