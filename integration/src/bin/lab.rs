//! A cluster of nodes in namespaces, from the shell.
//!
//! ```text
//! lab SEGMENT…     starts a node for each number of a segment, pulls the applications' images on all of them, and prints the router's
//!                  namespace and the administrator's kubeconfig. Then it does what it reads: `off NODE`, `on NODE`, `cut NODE`, `mend NODE`,
//!                  and says `done` after each. At the end of its input all of it goes
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program")]

use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};
use integration::catalog::{NODEINFO, PYINFO, WEB};
use integration::env::applications;
use integration::lab::Lab;

fn main() -> Result<()> {
    let segments = std::env::args().skip(1).map(|word| word.parse().with_context(|| format!("{word}: no number of a segment")));
    let segments: Vec<u8> = segments.collect::<Result<_>>()?;
    ensure!((1..=integration::lab::NAMES.len()).contains(&segments.len()), "usage: lab SEGMENT…, one to five of them");
    applications();
    let mut lab = Lab::start(&segments, "");
    for node in lab.nodes.values() {
        for image in [WEB, PYINFO, NODEINFO] {
            node.pull(&lab.env, image);
        }
    }
    println!("{} {}", lab.wires.namespace(0), lab.plane.kubeconfig().display());
    for line in std::io::stdin().lock().lines() {
        obey(&mut lab, &line?)?;
        println!("done");
    }
    Ok(())
}

fn obey(lab: &mut Lab, line: &str) -> Result<()> {
    let (verb, name) = line.split_once(' ').context("VERB NODE")?;
    let number = lab.nodes.get(name).with_context(|| format!("{name}: no such node"))?.number;
    match verb {
        "off" => lab.node(name).power_off(),
        "on" => lab.node(name).power_on(),
        "cut" => lab.wires.cut(number),
        "mend" => lab.wires.mend(number),
        _ => bail!("{verb}: there is off, on, cut and mend"),
    }
    Ok(())
}
