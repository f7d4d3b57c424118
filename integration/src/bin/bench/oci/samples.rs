//! One sample of each kind of work, in milliseconds.

use std::fs;
use std::process::{Child, Command};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::bundle::Bundle;
use super::runtime::Runtime;
use crate::contender::explained;

/// How long a command takes that has to succeed.
fn timed(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.status()?;
    let time = milliseconds(start);
    if status.success() { Ok(time) } else { bail!("{}", explained(command)) }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// From nothing to its end.
pub(crate) fn run(runtime: &Runtime, bundle: &Bundle) -> Result<Vec<f64>> {
    Ok(vec![timed(&mut runtime.run(bundle, runtime.id()))?])
}

/// `count` of them started one after the other without waiting: each from its own start to its own end.
pub(crate) fn crowd(runtime: &Runtime, bundle: &Bundle, count: usize) -> Result<Vec<f64>> {
    let mut running = Vec::new();
    for number in 0..count {
        let mut command = runtime.run(bundle, &format!("{}-{number}", runtime.id()));
        let start = Instant::now();
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        running.push((child, pidfd_open(pid, PidfdFlags::empty())?, start));
    }
    let (mut times, mut failed) = (Vec::new(), 0);
    while !running.is_empty() {
        let mut all: Vec<_> = running.iter().map(|(_, pidfd, _)| PollFd::new(pidfd, PollFlags::IN)).collect();
        poll(&mut all, None)?;
        let ended: Vec<bool> = all.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = ended.into_iter();
        for (mut child, _, start) in running.extract_if(.., |_| ended.next() == Some(true)) {
            times.push(milliseconds(start));
            failed += usize::from(!child.wait()?.success());
        }
    }
    if failed == 0 {
        Ok(times)
    } else {
        bail!("{failed} of {count} failed; alone: {}", explained(&mut runtime.run(bundle, runtime.id())))
    }
}

/// `create`, `start` and `delete` together, without the time between the last two in which the program ends.
pub(crate) fn life(runtime: &Runtime, bundle: &Bundle) -> Result<Vec<f64>> {
    let (id, pid_file) = (runtime.id(), format!("{}/pid", bundle.folder()));
    let mut time = timed(&mut runtime.command(&["create", "--bundle", &bundle.folder(), "--pid-file", &pid_file, id]))?;
    let pid = pid(&pid_file)?;
    let init = pidfd_open(pid, PidfdFlags::empty())?;
    time += timed(&mut runtime.command(&["start", id]))?;
    poll(&mut [PollFd::new(&init, PollFlags::IN)], None)?;
    time += timed(&mut runtime.command(&["delete", id]))?;
    Ok(vec![time])
}

fn pid(file: &str) -> Result<Pid> {
    let pid = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    Pid::from_raw(pid.trim().parse()?).context("no process number")
}

/// One running container of each, which ends with this.
pub(crate) struct Running<'a> {
    runtimes: Vec<&'a Runtime>,
    bundle: &'a Bundle,
    bare: Option<Child>,
}

impl<'a> Running<'a> {
    pub(crate) fn start(runtimes: &[&'a Runtime], bundle: &'a Bundle) -> Result<Self> {
        let bare = runtimes.iter().find(|runtime| runtime.is_bare()).map(|bare| bare.run(bundle, "").spawn()).transpose()?;
        let mut running = Self { runtimes: Vec::new(), bundle, bare };
        for runtime in runtimes.iter().filter(|runtime| !runtime.is_bare()) {
            if let Err(error) = timed(&mut runtime.command(&["run", "--detach", "--bundle", &bundle.folder(), runtime.id()])) {
                eprintln!("bench: {error:#}");
            }
            running.runtimes.push(runtime);
        }
        Ok(running)
    }

    /// A further process in it.
    pub(crate) fn exec(&self, runtime: &Runtime, program: &[&str]) -> Result<Vec<f64>> {
        if !runtime.is_bare() {
            return self.verb(runtime, &[&["exec", runtime.id()], program].concat());
        }
        let init = self.init().context("no init")?.to_string();
        self.verb(runtime, &[&["exec", &init, &self.bundle.plan()], program].concat())
    }

    pub(crate) fn verb(&self, runtime: &Runtime, words: &[&str]) -> Result<Vec<f64>> {
        Ok(vec![timed(&mut runtime.command(words))?])
    }

    /// The only child of the process that does the bare work.
    fn init(&self) -> Option<u32> {
        let maker = self.bare.as_ref()?.id();
        fs::read_to_string(format!("/proc/{maker}/task/{maker}/children")).ok()?.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for runtime in &self.runtimes {
            let _ = runtime.command(&["delete", "--force", runtime.id()]).status();
        }
        let init = self.init().and_then(|init| Pid::from_raw(init as i32));
        if let (Some(mut bare), Some(init)) = (self.bare.take(), init) {
            let _ = rustix::process::kill_process(init, rustix::process::Signal::KILL);
            let _ = bare.wait();
        }
    }
}
