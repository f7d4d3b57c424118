//! Containers as CRI shows them.

use cri::{
    Container, ContainerConfig, ContainerResources, ContainerState, ContainerStatus, ContainerUser, ImageSpec,
    LinuxContainerResources, LinuxContainerUser,
};
use engine::{Exit, Resources, Status};

use super::{Member, signal};

/// What a container is doing, and what came of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Life {
    state: ContainerState,
    started: u64,
    finished: u64,
    code: i32,
    reason: &'static str,
    message: String,
}

/// The exit code of what could not be started.
const NOT_STARTED: i32 = 128;

fn life(status: &Status) -> Life {
    match status {
        Status::Created => Life { state: ContainerState::ContainerCreated, ..Life::default() },
        Status::Running { since, .. } | Status::Paused { since, .. } => {
            Life { state: ContainerState::ContainerRunning, started: *since, ..Life::default() }
        }
        Status::Exited(exit) | Status::Restarting { exit, .. } => ended(exit),
    }
}

fn ended(exit: &Exit) -> Life {
    let message = exit.error.clone().unwrap_or_default();
    let base =
        Life { state: ContainerState::ContainerExited, started: exit.started, finished: exit.finished, message, ..Life::default() };
    match exit {
        Exit { oom: true, code, .. } => Life { code: *code, reason: "OOMKilled", ..base },
        Exit { started: 0, error: Some(_), .. } => Life { code: NOT_STARTED, reason: "StartError", ..base },
        // Its end was not seen: how it came about is not known.
        Exit { error: Some(_), code, .. } => Life { code: *code, reason: "Unknown", ..base },
        Exit { code: 0, .. } => Life { reason: "Completed", ..base },
        Exit { code, .. } => Life { code: *code, reason: "Error", ..base },
    }
}

/// In a list.
pub(in crate::cri::runtime) fn item(member: &Member) -> Container {
    let (record, config) = (&member.container.record, &member.kept.config);
    Container {
        id: record.id.clone(),
        pod_sandbox_id: member.pod.clone(),
        metadata: config.metadata.clone(),
        image: config.image.clone(),
        image_ref: record.image.id.to_string(),
        state: life(&member.container.status).state.into(),
        created_at: nanos(record.created),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        image_id: record.image.id.to_string(),
    }
}

/// All about it.
pub(in crate::cri) fn status(member: &Member) -> ContainerStatus {
    let record = &member.container.record;
    let ContainerConfig { metadata, labels, annotations, mounts, image, stop_signal, .. } = member.kept.config.clone();
    let Life { state, started, finished, code, reason, message } = life(&member.container.status);
    let stop_signal = if stop_signal == 0 { signal::word(record.stop_signal).into() } else { stop_signal };
    ContainerStatus {
        id: record.id.clone(),
        metadata,
        state: state.into(),
        created_at: nanos(record.created),
        started_at: nanos(started),
        finished_at: nanos(finished),
        exit_code: code,
        image: Some(ImageSpec { image: member.kept.image.clone(), ..image.unwrap_or_default() }),
        image_ref: member.kept.image_ref.clone(),
        reason: reason.to_owned(),
        message,
        labels,
        annotations,
        mounts,
        log_path: record.tuning.log.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        resources: Some(ContainerResources { linux: Some(resources(&record.resources, record.tuning.oom_score_adj)) }),
        image_id: record.image.id.to_string(),
        user: user(member),
        stop_signal,
    }
}

/// Limits as they are now.
fn resources(now: &Resources, oom_score_adj: Option<i32>) -> LinuxContainerResources {
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok()).unwrap_or_default();
    LinuxContainerResources {
        cpu_period: number(now.cpu_period),
        cpu_quota: now.cpu_quota.unwrap_or_default(),
        cpu_shares: number(now.cpu_shares),
        memory_limit_in_bytes: now.memory.unwrap_or_default(),
        oom_score_adj: oom_score_adj.unwrap_or_default().into(),
        cpuset_cpus: now.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: now.cpuset_mems.clone().unwrap_or_default(),
        hugepage_limits: now
            .huge_pages
            .iter()
            .map(|(page_size, limit)| cri::HugepageLimit { page_size: page_size.clone(), limit: *limit })
            .collect(),
        unified: now.unified.clone(),
        memory_swap_limit_in_bytes: now.memory_swap.unwrap_or_default(),
    }
}

/// Whom its first process runs as, as the kernel says while it runs.
fn user(member: &Member) -> Option<ContainerUser> {
    let (Status::Running { pid, .. } | Status::Paused { pid, .. }) = member.container.status else { return None };
    let linux = identity(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
    Some(ContainerUser { linux: Some(linux) })
}

/// The effective ids and groups in proc_pid_status(5).
fn identity(status: &str) -> Option<LinuxContainerUser> {
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let effective = |name: &str| line(name)?.split_whitespace().nth(1)?.parse().ok();
    let groups = line("Groups")?.split_whitespace().filter_map(|group| group.parse().ok());
    Some(LinuxContainerUser { uid: effective("Uid")?, gid: effective("Gid")?, supplemental_groups: groups.collect() })
}

fn nanos(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn how_it_ended_has_a_word() {
        let exit =
            |code, oom, started, error: Option<&str>| Exit { code, oom, started, finished: 9, error: error.map(str::to_owned) };
        let of = |exit: Exit| {
            let life = life(&Status::Exited(exit));
            assert_eq!((life.state, life.finished), (ContainerState::ContainerExited, 9));
            (life.code, life.reason)
        };
        assert_eq!(of(exit(0, false, 5, None)), (0, "Completed"));
        assert_eq!(of(exit(3, false, 5, None)), (3, "Error"));
        assert_eq!(of(exit(137, true, 5, None)), (137, "OOMKilled"));
        assert_eq!(of(exit(127, false, 0, Some("not found"))), (128, "StartError"));
        assert_eq!(of(exit(255, false, 5, Some("killed"))), (255, "Unknown"));
    }

    #[test]
    fn a_container_that_runs_has_no_end() {
        let life = life(&Status::Running { pid: 1, start_time: 2, since: 3 });
        assert_eq!(life, Life { state: ContainerState::ContainerRunning, started: 3, ..Life::default() });
        assert_eq!(super::life(&Status::Created).state, ContainerState::ContainerCreated);
    }

    #[test]
    fn limits_come_back_as_they_were_set() {
        let asked = LinuxContainerResources {
            cpu_period: 100_000,
            cpu_quota: 50_000,
            cpu_shares: 512,
            memory_limit_in_bytes: 1 << 26,
            oom_score_adj: 900,
            cpuset_cpus: "0".into(),
            unified: [("memory.high".to_owned(), "1".to_owned())].into(),
            hugepage_limits: vec![cri::HugepageLimit { page_size: "2MB".into(), limit: 4 }],
            ..Default::default()
        };
        assert_eq!(resources(&check::resources(&asked).unwrap(), Some(900)), asked);
    }

    #[test]
    fn the_kernel_says_who_runs() {
        let status = "Name:\tsh\nUid:\t1\t1000\t3\t4\nGid:\t1\t2000\t3\t4\nGroups:\t5 6 \nNgid:\t0\n";
        let expected = LinuxContainerUser { uid: 1000, gid: 2000, supplemental_groups: vec![5, 6] };
        assert_eq!(identity(status), Some(expected));
        assert_eq!(identity(""), None);
    }
}
