//! `bench oci`: runtimes with runc's command line, verb by verb, and the bare kernel work beside them.

mod bundle;
mod memory;
mod runtime;
mod samples;

use anyhow::Result;

use crate::Args;
use crate::measure::{Row, sample};
pub(crate) use bundle::Bundle;
use runtime::Runtime;

/// How many containers at once.
const CROWD: usize = 100;

/// All rows.
pub(crate) fn rows(args: &Args) -> Result<Vec<Row>> {
    let runtimes = runtime::all(&args.ours, args.peers.as_deref())?;
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for (name, profile) in [("spec", false), ("docker's profile", true)] {
        let make =
            |kind: &str, program: &[&'static str]| Bundle::make(&folder.path().join(format!("{name}-{kind}")), profile, program);
        let (ends, stays) = (make("true", &["/bin/true"])?, make("sleep", &["/bin/sleep", "1000000"])?);
        rows.extend(of_bundle(args, name, &runtimes, &ends, &stays)?);
    }
    rows.extend(memory::instructions(&runtimes, &Bundle::make(&folder.path().join("counted"), true, &["/bin/true"])?));
    Ok(rows)
}

fn of_bundle(args: &Args, name: &str, runtimes: &[Runtime], ends: &Bundle, stays: &Bundle) -> Result<Vec<Row>> {
    let row = |title: &str| format!("{title}, {name}");
    let pick = |bare: bool| runtimes.iter().filter(|runtime| bare || !runtime.is_bare()).collect::<Vec<_>>();
    let (with_bare, without) = (pick(true), pick(false));
    let mut rows = vec![
        sample(&row("run true"), &with_bare, args.runs(60), |runtime, _| samples::run(runtime, ends))?,
        sample(&row("run true, 100 at once"), &with_bare, args.runs(5), |runtime, _| samples::crowd(runtime, ends, CROWD))?,
        sample(&row("create, start, delete"), &without, args.runs(40), |runtime, _| samples::life(runtime, ends))?,
    ];
    let running = samples::Running::start(&with_bare, stays)?;
    rows.push(sample(&row("exec true"), &with_bare, args.runs(60), |runtime, _| running.exec(runtime, &["/bin/true"]))?);
    rows.push(sample(&row("state"), &without, args.runs(60), |runtime, _| running.verb(runtime, &["state", runtime.id()]))?);
    rows.push(sample(&row("kill"), &without, args.runs(60), |runtime, _| running.verb(runtime, &["kill", runtime.id(), "WINCH"]))?);
    drop(running);
    rows.push(memory::row(&row("memory of run"), &with_bare, args.runs(10), ends)?);
    Ok(rows)
}
