//! Health checks, by the monitor's own clock: no timer of systemd and no process waits for the next one.

use std::time::{Duration, Instant};

use launch::{Health, HealthState, Nanos, Probe, Process};
use monitor::{Exec, HealthCheck, OnFailure, StartupCheck, now};

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
    /// As long as it has not been seen to have started.
    startup: Option<Startup>,
    pub(crate) found: Health,
    started: Instant,
    next: Instant,
    running: Option<Check>,
}

/// What is checked first, and what came of it so far.
#[derive(Debug)]
struct Startup {
    check: StartupCheck,
    failures: u32,
    successes: u32,
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
    pub(crate) fn new(mut check: HealthCheck) -> Self {
        let started = Instant::now();
        let startup = check.startup.take().map(|check| Startup { check, failures: 0, successes: 0 });
        let mut all = Checking { check, startup, found: Health::default(), started, next: started, running: None };
        all.next = started + all.interval();
        all
    }

    /// The container has just been started, and nothing has told yet that it is well.
    fn is_starting(&self) -> bool {
        self.found.state == HealthState::Starting && self.started.elapsed() < Duration::from_nanos(self.check.start_period)
    }

    fn interval(&self) -> Duration {
        Duration::from_nanos(match &self.startup {
            Some(startup) => startup.check.interval,
            None if self.is_starting() => self.check.start_interval,
            None => self.check.interval,
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_nanos(self.startup.as_ref().map_or(self.check.timeout, |startup| startup.check.timeout))
    }

    fn process(&self) -> &Process {
        self.startup.as_ref().map_or(&self.check.process, |startup| &startup.check.process)
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

    /// Takes the result of a check. Answers what is to be done about it.
    fn take(&mut self, probe: Probe) -> Option<OnFailure> {
        let well = probe.code == 0;
        let todo = if self.startup.is_some() { self.take_startup(well) } else { self.take_usual(well) };
        self.found.log.push(probe);
        if self.found.log.len() > MAX_LOG {
            self.found.log.remove(0);
        }
        self.next = Instant::now() + self.interval();
        todo
    }

    fn take_usual(&mut self, well: bool) -> Option<OnFailure> {
        let before = self.found.state;
        if well {
            (self.found.state, self.found.failing) = (HealthState::Healthy, 0);
        } else if !self.is_starting() {
            self.found.failing += 1;
            if self.found.failing >= self.check.retries {
                self.found.state = HealthState::Unhealthy;
            }
        }
        (before != HealthState::Unhealthy && self.found.state == HealthState::Unhealthy).then_some(self.check.on_failure)
    }

    /// As with Podman, all results count, whatever came between them.
    fn take_startup(&mut self, well: bool) -> Option<OnFailure> {
        let Startup { check, failures, successes } = self.startup.as_mut()?;
        if well {
            *successes += 1;
            if *successes >= check.successes {
                self.startup = None;
                self.found.state = HealthState::Healthy;
            }
            return None;
        }
        *failures += 1;
        // Once: it may take its time to end.
        (*failures == check.retries).then_some(OnFailure::Restart)
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
        let until = Instant::now() + checking.timeout();
        checking.running = Some(Check { task: number, start: now(), until, late: false, output: Vec::new() });
        let process = checking.process().clone();
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
            true => (-1, format!("Health check exceeded timeout ({:?})", checking.timeout())),
            false => (code, String::from_utf8_lossy(&output).into_owned()),
        };
        let before = checking.found.state;
        let todo = checking.take(Probe { start, end: now(), code, output });
        let after = checking.found.state;
        let HealthCheck { stop_signal, stop_timeout, .. } = checking.check;
        match after {
            state if state == before => {}
            HealthState::Healthy => self.container.tell("health_status: healthy", &[]),
            HealthState::Unhealthy => self.container.tell("health_status: unhealthy", &[]),
            HealthState::Starting => {}
        }
        // On a full disk the next check says it again.
        let _ = self.write_state();
        if let Some(on_failure) = todo {
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
    use std::path::Path;

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
            startup: None,
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
        assert!(all.take(probe(1)).is_none() && all.found.state == HealthState::Starting);
        assert!(all.take(probe(0)).is_none() && (all.found.state, all.found.failing) == (HealthState::Healthy, 0));
        assert!(all.take(probe(1)).is_none() && all.found.state == HealthState::Healthy);
        assert!(all.take(probe(1)).is_some() && all.found.state == HealthState::Unhealthy);
        assert!(all.take(probe(1)).is_none() && all.found.failing == 3);
        assert!(all.take(probe(0)).is_none() && all.found.state == HealthState::Healthy);
        assert_eq!(all.found.log.iter().map(|probe| probe.code).collect::<Vec<_>>(), [0, 1, 1, 1, 0]);
    }

    #[test]
    fn failures_of_the_beginning_do_not_count() {
        let mut all = checking(HOUR, 1);
        assert_eq!(all.interval(), Duration::from_nanos(HOUR / 2));
        assert!(all.take(probe(1)).is_none() && (all.found.state, all.found.failing) == (HealthState::Starting, 0));
        all.take(probe(0));
        assert_eq!(all.interval(), Duration::from_nanos(HOUR));
        assert!(all.take(probe(1)).is_some());
    }

    #[test]
    fn the_start_is_checked_first() {
        let startup = |retries, successes| {
            let process = launch::Process { cwd: "/startup".into(), ..launch::Process::default() };
            let check = StartupCheck { process, interval: HOUR / 4, timeout: HOUR / 8, retries, successes };
            Checking::new(HealthCheck { startup: Some(check), ..checking(0, 1).check })
        };
        let is_startup = |all: &Checking| all.process().cwd == Path::new("/startup");
        let mut all = startup(3, 2);
        assert_eq!((all.interval(), all.timeout()), (Duration::from_nanos(HOUR / 4), Duration::from_nanos(HOUR / 8)));
        // Neither one failure nor one success decides, and what came before does not matter.
        let codes = [(1, None), (1, None), (0, None), (1, Some(OnFailure::Restart)), (1, None)];
        for (code, todo) in codes {
            assert_eq!(all.take(probe(code)), todo);
            assert_eq!((all.found.state, all.found.failing, is_startup(&all)), (HealthState::Starting, 0, true));
        }
        assert_eq!((all.take(probe(0)), all.found.state, is_startup(&all)), (None, HealthState::Healthy, false));
        assert_eq!((all.interval(), all.timeout()), (Duration::from_nanos(HOUR), Duration::from_nanos(HOUR)));
        assert_eq!(all.take(probe(1)), Some(OnFailure::None));
        let mut patient = startup(0, 0);
        assert!((0..9).all(|_| patient.take(probe(1)).is_none()));
        patient.take(probe(0));
        assert!(!is_startup(&patient));
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
