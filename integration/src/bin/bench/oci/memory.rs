//! What is not time: the largest memory of a process of a run, and the instructions of a run where this machine counts them.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use rustix::process::Pid;

use super::bundle::Bundle;
use super::runtime::Runtime;
use crate::contender::{explained, on_path};
use crate::measure::{Row, Unit, sample};

/// The largest resident set of any process of `run`, its own or its children's.
pub(crate) fn row(title: &str, runtimes: &[&Runtime], runs: usize, bundle: &Bundle) -> Result<Row> {
    let row = sample(title, runtimes, runs, |runtime, _| {
        let mut command = runtime.run(bundle, runtime.id());
        let child = command.spawn()?;
        let (ended, used) = sys::process::wait_usage(Pid::from_child(&child))?;
        if ended.code() == 0 { Ok(vec![used.peak as f64]) } else { bail!("{}", explained(&mut command)) }
    })?;
    Ok(Row { unit: Unit::Kib, ..row })
}

/// Instructions of `run`, by `perf stat`.
pub(crate) fn instructions(runtimes: &[Runtime], bundle: &Bundle) -> Option<Row> {
    let runtimes: Vec<&Runtime> = runtimes.iter().collect();
    let count = |runtime: &Runtime| -> Result<Vec<f64>> {
        let run = runtime.run(bundle, runtime.id());
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x", ";", "-e", "instructions", "--"]).arg(run.get_program()).args(run.get_args());
        let said = perf.stdin(Stdio::null()).output()?;
        // "12345;;instructions;…" or "<not supported>;;instructions;…"
        let text = String::from_utf8_lossy(&said.stderr);
        let counted =
            text.lines().find(|line| line.contains("instructions")).and_then(|line| line.split(';').next()?.parse::<f64>().ok());
        counted.map(|count| vec![count / 1e6]).ok_or_else(|| anyhow::anyhow!("perf stat does not count instructions here"))
    };
    if !on_path("perf") {
        eprintln!("bench: instructions: perf is not installed");
        return None;
    }
    match sample("instructions of run, docker's profile", &runtimes, 5, |runtime, _| count(runtime)) {
        Ok(row) => Some(Row { unit: Unit::MillionInstructions, ..row }),
        Err(error) => {
            eprintln!("bench: instructions: {error:#}");
            None
        }
    }
}
