//! Logs of several containers as one.

use std::iter::Peekable;
use std::sync::mpsc;

use anyhow::{Context as _, Result};
use engine::{Engine, LogLine, LogOptions, Logs};

use super::lines::{Before, Printer};

/// Prints the logs of `names`, each line behind what its place in `before` says: in the order of time, or as they come.
pub(super) fn print(engine: &Engine, names: &[String], before: &[Before], options: &LogOptions, to: &mut Printer) -> Result<()> {
    let mut logs = Vec::new();
    for name in names {
        logs.push(Lines(engine.logs(name, options).with_context(|| format!("logs of {name}"))?.peekable()));
    }
    if options.follow { follow(logs, before, to) } else { merge(logs, before, to) }
}

/// The logs as they come.
fn follow(logs: Vec<Lines>, before: &[Before], to: &mut Printer) -> Result<()> {
    let (send, lines) = mpsc::channel();
    for (at, mut log) in logs.into_iter().enumerate() {
        let send = send.clone();
        // Not waited for when something cannot be printed: its container may run for ever.
        std::thread::spawn(move || {
            while let Some(line) = log.line() {
                let failed = line.is_err();
                if send.send((at, line)).is_err() || failed {
                    break;
                }
            }
        });
    }
    drop(send);
    for (at, line) in lines {
        for part in line? {
            to.print(&before[at], &part)?;
        }
    }
    Ok(())
}

/// The logs in the order of time: always the oldest line of those that come next.
fn merge(mut logs: Vec<Lines>, before: &[Before], to: &mut Printer) -> Result<()> {
    loop {
        let next = logs.iter_mut().enumerate().filter_map(|(at, log)| log.time().map(|time| (time, at))).min();
        let Some((_, at)) = next else { return Ok(()) };
        for part in logs[at].line().transpose()?.unwrap_or_default() {
            to.print(&before[at], &part)?;
        }
    }
}

/// A log by whole lines: those of others do not come between the parts of one.
struct Lines(Peekable<Logs>);

impl Lines {
    /// When the next line was written; what cannot be read comes first.
    fn time(&mut self) -> Option<u64> {
        self.0.peek().map(|line| line.as_ref().map_or(0, |line| line.time))
    }

    /// The parts of the next line.
    fn line(&mut self) -> Option<Result<Vec<LogLine>>> {
        let mut parts = Vec::new();
        loop {
            match self.0.next() {
                None => return (!parts.is_empty()).then_some(Ok(parts)),
                Some(Err(error)) => return Some(Err(error.into())),
                Some(Ok(part)) => {
                    let partial = part.partial;
                    parts.push(part);
                    if !partial {
                        return Some(Ok(parts));
                    }
                }
            }
        }
    }
}
