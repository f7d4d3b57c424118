//! A Dockerfile of ten steps: everything anew, nothing new, and one file that has changed.

use std::fs;

use anyhow::Result;

use crate::contender::{Contender, Ground};
use crate::measure::{Row, alternate};

/// Steps that cost little themselves: what is measured is the builder.
const DOCKERFILE: &str = "FROM BASE\n\
    RUN mkdir -p /app/data\nWORKDIR /app\nCOPY first /app/\nRUN cat first > data/one\nENV STAGE=two\nRUN echo $STAGE > data/two\n\
    COPY second /app/\nRUN wc -c second > data/three\nRUN rm data/one\nCMD [\"cat\", \"/app/data/three\"]\n";

/// The rows; `peers` have the base image already.
pub(crate) fn rows(runs: usize, ground: &Ground, peers: &[String]) -> Result<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("bench-build-").tempdir_in("/var/tmp")?;
    for who in std::iter::once("ours").chain(peers.iter().map(String::as_str)) {
        let context = folder.path().join(who);
        fs::create_dir(&context)?;
        fs::write(context.join("Dockerfile"), DOCKERFILE.replace("BASE", &ground.base(who)))?;
        fs::write(context.join("first"), "first")?;
        fs::write(context.join("second"), "second")?;
    }
    let build = |who: &str, before: &str, flags: &[&str]| -> Contender {
        let context = folder.path().join(who).display().to_string();
        ground.build(who, &format!("{before} {context}/second"), flags, &context)
    };
    let cold = ground.all(peers, |who| build(who, "true", &["--no-cache"]));
    let warm = ground.all(peers, |who| build(who, "true", &[]));
    let changed = ground.all(peers, |who| build(who, "echo {n} $$ >", &[]));
    Ok(vec![
        alternate("ten steps, nothing in the cache", &cold, runs.div_ceil(3))?,
        alternate("ten steps, all of them in the cache", &warm, runs)?,
        alternate("ten steps, the file of the seventh has changed", &changed, runs.div_ceil(3))?,
    ])
}
