//! After the end: the pause before the container is started again, and the start. The monitor has nothing of its container left by then
//! but its socket and the charge of it, so it becomes the program that starts it, which holds no memory meanwhile and needs no rights
//! but the monitor's own.

use std::ffi::CString;
use std::time::{Duration, Instant};

use launch::{Exit, Status};
use rustix::process::set_child_subreaper;

use crate::reap::SIGNALS;
use crate::session::Session;
use crate::{cleanup, end};

/// The search path of the program that starts the container again; like the monitor, it has no environment but this.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Session {
    /// Milliseconds until the container that has ended in this way is started again, if it is.
    pub(crate) fn pause(&self, exit: &Exit) -> Option<u64> {
        let container = &self.container;
        let restart = &container.restart;
        match (container.anew, container.ending) {
            (true, false) => Some(restart.pause(exit)),
            (_, true) => None,
            (false, false) => restart.policy.delay(exit, restart.count, restart.delay),
        }
        .filter(|_| !restart.command.is_empty())
    }

    /// Nothing is started any more.
    pub(crate) fn stay(&mut self) {
        if let (Some(_), Some(exit)) = (self.again.take(), self.exit.clone()) {
            let _ = self.container.record(Status::Exited(exit));
            let container = &mut self.container;
            container.hold.clear();
            cleanup::trees(&container.cleanup);
            cleanup::hide(&container.cleanup);
            container.charge = None;
        }
    }

    /// When the container is started again.
    pub(crate) fn pause_of(delay: u64) -> Instant {
        Instant::now() + Duration::from_millis(delay)
    }

    /// Becomes the program that starts the container again, once it is time. When that cannot be executed, the container stays.
    pub(crate) fn start_again(&mut self) {
        if self.again.is_none_or(|at| Instant::now() < at) {
            return;
        }
        // What the monitor is and the program should not be, nor what it starts.
        let _ = set_child_subreaper(None);
        if let Some(score) = self.container.oom_score {
            end::set_oom_score(score);
        }
        let _ = sys::signal::unblock(&SIGNALS);
        let words = &self.container.restart.command;
        let args: Result<Vec<CString>, _> = words.iter().map(|word| CString::new(word.as_str())).collect();
        let failed = match (args, CString::new(PATH)) {
            (Ok(args), Ok(path)) => {
                let program = args[0].clone();
                match sys::process::Exec::new(args, vec![path]).exec(&program) {
                    Err(error) => error.to_string(),
                    Ok(never) => match never {},
                }
            }
            _ => "its command holds a NUL byte".to_owned(),
        };
        let _ = sys::signal::block(&SIGNALS);
        if let Some(exit) = &mut self.exit {
            exit.error = Some(format!("start it again: {failed}"));
        }
        self.stay();
    }
}
