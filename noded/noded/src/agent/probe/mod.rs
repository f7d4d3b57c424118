//! Probes: a task for each container that has some, from its start to its end.

mod grpc;
mod http;

use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::container::{Container, Probe};
use tokio::sync::mpsc::UnboundedSender;

use crate::cri::local;
use crate::node::Node;

pub(super) use http::get;

/// What a probe has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Started,
    Ready,
    /// It is not ready: why.
    Unready(String),
    /// The container has to be started again: why, and how long it may take to end.
    Failed(String, Option<i64>),
}

/// Whom to probe.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) node: Arc<Node>,
    pub(super) id: String,
    pub(super) spec: Container,
    pub(super) ip: String,
}

/// Whether a container has any.
pub(super) fn has_any(spec: &Container) -> bool {
    spec.startup_probe.is_some() || spec.liveness_probe.is_some() || spec.readiness_probe.is_some()
}

/// Probes for as long as it is not dropped.
pub(super) async fn run(target: Target, found: UnboundedSender<(String, Finding)>) {
    let say = |finding| found.send((target.id.clone(), finding));
    if let Some(probe) = &target.spec.startup_probe {
        let (passed, why) = verdict(&target, probe, &mut Count::default()).await;
        if !passed {
            let _ = say(Finding::Failed(format!("Startup probe failed: {why}"), probe.termination_grace_period_seconds));
            return;
        }
        let _ = say(Finding::Started);
    }
    let alive = async {
        let Some(probe) = &target.spec.liveness_probe else { return };
        let mut count = Count::default();
        loop {
            let (passed, why) = verdict(&target, probe, &mut count).await;
            if !passed {
                let _ = say(Finding::Failed(format!("Liveness probe failed: {why}"), probe.termination_grace_period_seconds));
                return;
            }
        }
    };
    let ready = async {
        let Some(probe) = &target.spec.readiness_probe else { return };
        let (mut count, mut last) = (Count::default(), None);
        loop {
            let finding = match verdict(&target, probe, &mut count).await {
                (true, _) => Finding::Ready,
                (false, why) => Finding::Unready(format!("Readiness probe failed: {why}")),
            };
            if last.as_ref() != Some(&finding) && say(finding.clone()).is_err() {
                return;
            }
            last = Some(finding);
        }
    };
    tokio::join!(alive, ready);
}

/// Results in a row.
#[derive(Debug, Default)]
struct Count {
    begun: bool,
    passed: i32,
    failed: i32,
}

impl Count {
    /// What so many results in a row mean, if they mean something already.
    fn add(&mut self, passed: bool, probe: &Probe) -> Option<bool> {
        match passed {
            true => (self.passed, self.failed) = (self.passed.saturating_add(1), 0),
            false => (self.passed, self.failed) = (0, self.failed.saturating_add(1)),
        }
        let enough = |threshold: i32, default: i32| if threshold > 0 { threshold } else { default };
        match passed {
            true => (self.passed >= enough(probe.success_threshold, 1)).then_some(true),
            false => (self.failed >= enough(probe.failure_threshold, 3)).then_some(false),
        }
    }
}

/// Probes until it is clear whether it passes or fails.
async fn verdict(target: &Target, probe: &Probe, count: &mut Count) -> (bool, String) {
    let seconds = |number: i32, least: u64| Duration::from_secs(u64::try_from(number).unwrap_or(0).max(least));
    loop {
        let pause = if count.begun { seconds(probe.period_seconds, 1) } else { seconds(probe.initial_delay_seconds, 0) };
        count.begun = true;
        tokio::time::sleep(pause).await;
        let timeout = seconds(probe.timeout_seconds, 1);
        let result = match tokio::time::timeout(timeout, once(target, probe, timeout)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} s", timeout.as_secs())),
        };
        let passed = result.is_ok();
        if let Some(verdict) = count.add(passed, probe) {
            return (verdict, result.err().unwrap_or_default());
        }
    }
}

/// Probes once.
async fn once(target: &Target, probe: &Probe, timeout: Duration) -> Result<(), String> {
    if let Some(exec) = &probe.exec {
        let seconds = i64::try_from(timeout.as_secs()).unwrap_or(1);
        let answer = local::exec(&target.node, &target.id, exec.command.clone(), seconds).await;
        let answer = answer.map_err(|status| status.message().to_owned())?;
        let said = String::from_utf8_lossy(if answer.stdout.is_empty() { &answer.stderr } else { &answer.stdout }).into_owned();
        return if answer.exit_code == 0 { Ok(()) } else { Err(format!("exit code {}: {said:.500}", answer.exit_code)) };
    }
    if let Some(get) = &probe.http_get {
        return http::get(get, &target.spec, &target.ip).await;
    }
    if let Some(check) = &probe.grpc {
        return grpc::check(check, &target.ip, timeout).await;
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = if tcp.host.is_empty() { &target.ip } else { &tcp.host };
        return http::connect(host, http::port(tcp.port.as_ref(), &target.spec)?).await.map(drop);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_in_a_row_count() {
        let probe = Probe { failure_threshold: 2, success_threshold: 2, ..Probe::default() };
        let mut count = Count::default();
        let verdicts = [true, false, true, true, false, true, false, false].map(|passed| count.add(passed, &probe));
        assert_eq!(verdicts, [None, None, None, Some(true), None, None, None, Some(false)]);
    }
}
