//! Images that move: pulls of three shapes, compressed in two ways, with what else they cost beside time; then the node image pushed to
//! another registry, and saved.

mod floor;
mod moves;
mod usage;

use std::path::Path;

use anyhow::Result;
use integration::catalog::{self, Shape};
use integration::layer::Compression;
use integration::registry::Registry;

use crate::Args;
use crate::contender::{Contender, Ground};
use crate::measure::{Row, Samples, Unit, milliseconds, samples, settle};
use crate::report;
use usage::Meter;
pub(crate) use usage::{ALONE, alone};

/// Who takes part if it is installed. `umoci` unpacks what skopeo has fetched.
pub(crate) const PEERS: [&str; 4] = ["ctr", "docker", "podman", "umoci"];

const SHAPES: [(Shape, &str, &str); 3] = [
    (Shape::Node, "node", "6 layers"),
    (Shape::Large, "large", "one layer of 400 MB"),
    (Shape::Small, "small", "60 000 small files"),
];

/// All rows. The registry keeps its content in `storage`.
pub(crate) fn rows(args: &Args, ground: &Ground, registry: &Registry, storage: &Path, peers: &[String]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (shape, name, about) in SHAPES {
        let runs = args.runs(if shape == Shape::Node { 5 } else { 3 });
        for (compression, kind) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
            let image = format!("bench/{name}-{kind}");
            eprintln!("bench: {image}, {} times", runs + 1);
            let mut blobs = Vec::new();
            catalog::variants(shape, compression, runs + 1, &mut |number, bundle| {
                blobs.push(floor::blobs(bundle, storage));
                registry.push(&format!("{image}:n{number}"), bundle)
            })?;
            let mut contenders = ground.all(peers, |who| ground.pull(who, &format!("{image}:n{{n}}")));
            contenders.extend(floor::contender(ground, compression, &image, &blobs)?);
            let measured = metered(&format!("pull, {about}, {kind}"), &contenders, runs)?;
            report::early(&measured);
            rows.extend(measured);
        }
    }
    let runs = args.runs(5);
    rows.extend(moves::push(ground, peers, runs)?);
    rows.extend(moves::save(ground, peers, runs)?);
    Ok(rows)
}

/// Time, time on processors, bytes written and the largest memory of each contender. The daemon of one that has one is counted with it.
///
/// No sample removes what the one before it brought: ext4 looks through recently deleted inodes before it takes one, which
/// would make a pull after a removal several times slower than a pull.
fn metered(title: &str, contenders: &[Contender], runs: usize) -> Result<Vec<Row>> {
    let [time, cpu, written, peak] = samples(title, contenders, runs, |contender, number| {
        settle();
        let meter = Meter::start(contender);
        let (time, used) = meter.run(contender, number)?;
        Ok([milliseconds(time), milliseconds(used.cpu), used.written as f64 / 1024.0, used.peak as f64].map(|value| vec![value]))
    })?;
    let row = |what: &str, unit, mut samples: Samples| {
        // What only decompresses writes nothing, and keeps what it likes in memory.
        samples.retain(|(name, _)| unit == Unit::Milliseconds || name != floor::NAME);
        Row { title: format!("{title}{what}"), unit, samples }
    };
    Ok(vec![
        row("", Unit::Milliseconds, time),
        row(": processor", Unit::Milliseconds, cpu),
        row(": written", Unit::Kib, written),
        row(": memory", Unit::Kib, peak),
    ])
}
