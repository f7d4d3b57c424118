//! Health checks, by the monitor's own clock: no timer of systemd and no process waits for the next one.

use std::time::{Duration, Instant};

use launch::{Health, HealthState, Nanos, Probe};
use monitor::{Exec, HealthCheck, OnFailure, now};

use crate::session::Session;
use crate::task::INIT;

/// So much of what a check says is kept.
const MAX_OUTPUT: usize = 4096;
/// So many checks are kept.
const MAX_LOG: usize = 5;
const SIGKILL: i32 = 9;

/// The health check of a container, and what it has found.
#[derive(Debug)]
pub(crate) struct Checking {
    check: HealthCheck,
    pub(crate) found: Health,
    started: Instant,
    next: Instant,
    running: Option<Check>,
}

/// A check that runs.
#[derive(Debug)]
struct Check {
    task: u32,
    start: Nanos,
    until: Instant,
    late: bool,
    output: Vec<u8>,
}

impl Checking {
    pub(crate) fn new(check: HealthCheck) -> Self {
        let started = Instant::now();
        let mut all = Checking { check, found: Health::default(), started, next: started, running: None };
        all.next = started + all.interval();
        all
    }

    /// The container has just been started, and nothing has told yet that it is well.
    fn is_starting(&self) -> bool {
        self.found.state == HealthState::Starting && self.started.elapsed() < Duration::from_nanos(self.check.start_period)
    }

    fn interval(&self) -> Duration {
        Duration::from_nanos(if self.is_starting() { self.check.start_interval } else { self.check.interval })
    }

    /// When there is something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.running {
            Some(check) => (!check.late).then_some(check.until),
            None => Some(self.next),
        }
    }

    /// What a check says, if `task` is one. Answers whether it is.
    pub(crate) fn hear(&mut self, task: u32, bytes: &[u8]) -> bool {
        let Some(check) = self.running.as_mut().filter(|check| check.task == task) else { return false };
        let room = MAX_OUTPUT - check.output.len().min(MAX_OUTPUT);
        check.output.extend_from_slice(&bytes[..bytes.len().min(room)]);
        true
    }

    /// Takes the result of a check. Answers whether the container is unhealthy from now on.
    fn take(&mut self, probe: Probe) -> bool {
        let before = self.found.state;
        if probe.code == 0 {
            (self.found.state, self.found.failing) = (HealthState::Healthy, 0);
        } else if !self.is_starting() {
            self.found.failing += 1;
            if self.found.failing >= self.check.retries {
                self.found.state = HealthState::Unhealthy;
            }
        }
        self.found.log.push(probe);
        if self.found.log.len() > MAX_LOG {
            self.found.log.remove(0);
        }
        self.next = Instant::now() + self.interval();
        before != HealthState::Unhealthy && self.found.state == HealthState::Unhealthy
    }
}

impl Session {
    /// Begins the next check, or ends one that takes too long.
    pub(crate) fn check_health(&mut self) {
        let number = self.next + 1;
        let Some(checking) = self.container.health.as_mut() else { return };
        if self.container.frozen || checking.due().is_none_or(|due| Instant::now() < due) {
            return;
        }
        self.used = true;
        if let Some(check) = &mut checking.running {
            check.late = true;
            let task = check.task;
            if let Some(index) = self.find(task) {
                let _ = sys::process::signal(&self.tasks[index].pidfd, SIGKILL);
            }
            return;
        }
        let until = Instant::now() + Duration::from_nanos(checking.check.timeout);
        checking.running = Some(Check { task: number, start: now(), until, late: false, output: Vec::new() });
        let process = checking.check.process.clone();
        match self.executed(Exec { process, stdin: false, detach: false, id: String::new() }) {
            Ok((task, _)) => self.tasks.push(task),
            Err(failure) => {
                self.next = number;
                if let Some(checking) = self.container.health.as_mut() {
                    checking.hear(number, failure.message.as_bytes());
                }
                self.checked(number, -1);
            }
        }
    }

    /// The process `task` has ended. If it was a check, its result is taken. Answers whether it was.
    pub(crate) fn checked(&mut self, task: u32, code: i32) -> bool {
        let Some(checking) = self.container.health.as_mut() else { return false };
        let Some(Check { start, late, output, .. }) = checking.running.take_if(|check| check.task == task) else { return false };
        let (code, output) = match late {
            true => (-1, format!("Health check exceeded timeout ({:?})", Duration::from_nanos(checking.check.timeout))),
            false => (code, String::from_utf8_lossy(&output).into_owned()),
        };
        let before = checking.found.state;
        let unhealthy = checking.take(Probe { start, end: now(), code, output });
        let after = checking.found.state;
        let HealthCheck { on_failure, stop_signal, stop_timeout, .. } = checking.check;
        match after {
            state if state == before => {}
            HealthState::Healthy => self.container.tell("health_status: healthy", &[]),
            HealthState::Unhealthy => self.container.tell("health_status: unhealthy", &[]),
            HealthState::Starting => {}
        }
        // On a full disk the next check says it again.
        let _ = self.write_state();
        if unhealthy {
            self.unwell(on_failure, stop_signal, stop_timeout);
        }
        true
    }

    fn unwell(&mut self, on_failure: OnFailure, stop_signal: i32, stop_timeout: Nanos) {
        let container = &mut self.container;
        let signal = match on_failure {
            OnFailure::None => return,
            OnFailure::Kill => SIGKILL,
            OnFailure::Restart => {
                container.anew = true;
                stop_signal
            }
            OnFailure::Stop => {
                (container.ending, container.stopped) = (true, true);
                stop_signal
            }
        };
        container.kill_at = Some(Instant::now() + Duration::from_nanos(stop_timeout));
        self.signal_init(signal);
    }

    /// Kills a container that was asked to end and has not.
    pub(crate) fn insist(&mut self) {
        if self.container.kill_at.is_some_and(|at| at <= Instant::now()) {
            self.container.kill_at = None;
            self.signal_init(SIGKILL);
        }
    }

    pub(crate) fn signal_init(&self, signal: i32) {
        if let Some(init) = self.find(INIT) {
            let _ = sys::process::signal(&self.tasks[init].pidfd, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Nanos = 3_600_000_000_000;

    fn checking(start_period: Nanos, retries: u32) -> Checking {
        Checking::new(HealthCheck {
            process: launch::Process::default(),
            interval: HOUR,
            timeout: HOUR,
            start_period,
            start_interval: HOUR / 2,
            retries,
            on_failure: OnFailure::None,
            stop_signal: 15,
            stop_timeout: 0,
        })
    }

    fn probe(code: i32) -> Probe {
        Probe { code, ..Probe::default() }
    }

    #[test]
    fn so_many_failures_in_a_row_are_unhealthy() {
        let mut all = checking(0, 2);
        assert!(!all.take(probe(1)) && all.found.state == HealthState::Starting);
        assert!(!all.take(probe(0)) && (all.found.state, all.found.failing) == (HealthState::Healthy, 0));
        assert!(!all.take(probe(1)) && all.found.state == HealthState::Healthy);
        assert!(all.take(probe(1)) && all.found.state == HealthState::Unhealthy);
        assert!(!all.take(probe(1)) && all.found.failing == 3);
        assert!(!all.take(probe(0)) && all.found.state == HealthState::Healthy);
        assert_eq!(all.found.log.iter().map(|probe| probe.code).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
    }

    #[test]
    fn failures_of_the_beginning_do_not_count() {
        let mut all = checking(HOUR, 1);
        assert_eq!(all.interval(), Duration::from_nanos(HOUR / 2));
        assert!(!all.take(probe(1)) && (all.found.state, all.found.failing) == (HealthState::Starting, 0));
        all.take(probe(0));
        assert_eq!(all.interval(), Duration::from_nanos(HOUR));
        assert!(all.take(probe(1)));
    }

    #[test]
    fn only_the_beginning_of_what_is_said_is_kept() {
        let mut all = checking(0, 1);
        assert!(!all.hear(1, b"nobody"));
        all.running = Some(Check { task: 1, start: 0, until: Instant::now(), late: false, output: Vec::new() });
        assert!(all.hear(1, &[b'x'; MAX_OUTPUT - 1]) && all.hear(1, b"yz"));
        assert!(all.running.unwrap().output.ends_with(b"xy"));
    }
}
