//! The fixtures from the shell.
//!
//! ```text
//! fixture serve [--small]          builds and pushes the images, prints the registry's address and the path of a
//!                                  registries.conf, and serves until its standard input ends
//! fixture snapshot NAME ROOT OUT   (called by mmdebstrap) writes what changed below ROOT as a layer
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program")]

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Result, bail};
use integration::registry::{Registry, mirror_of_docker_hub};
use integration::{catalog, debian};

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(true),
        ["serve", "--small"] => serve(false),
        ["snapshot", name, root, out] => debian::snapshot(name, Path::new(root), Path::new(out)),
        _ => bail!("usage: fixture serve [--small] | snapshot NAME ROOT OUT"),
    }
}

fn serve(applications: bool) -> Result<()> {
    let registry = Registry::start(false)?;
    for (name, bundle) in catalog::small()? {
        registry.push(name, &bundle)?;
    }
    if applications {
        for (name, bundle) in catalog::applications()? {
            registry.push(name, &bundle)?;
        }
    }
    let mut file = tempfile::Builder::new().prefix("registries-").suffix(".conf").tempfile()?;
    file.write_all(mirror_of_docker_hub(&registry.address).as_bytes())?;
    println!("{} {}", registry.address, file.path().display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
