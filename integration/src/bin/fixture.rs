//! The fixtures from the shell.
//!
//! ```text
//! fixture serve [--small]          builds and pushes the images, prints the registry's address and the path of a
//!                                  registries.conf, and serves until its standard input ends
//! fixture push ADDRESS             builds the images, pushes them to a registry that is there, and prints a registries.conf
//! fixture refuse CALL COMMAND…     runs COMMAND where the system call CALL fails with ENODEV, as it would on a kernel
//!                                  without what it asks for
//! fixture snapshot NAME ROOT OUT   (called by mmdebstrap) writes what changed below ROOT as a layer
//! ```

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a program")]

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use integration::registry::{self, Registry, mirror_of_docker_hub};
use integration::{catalog, debian};

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve"] => serve(true),
        ["serve", "--small"] => serve(false),
        ["push", address] => {
            push(address, true)?;
            print!("{}", mirror_of_docker_hub(address));
            Ok(())
        }
        ["snapshot", name, root, out] => debian::snapshot(name, Path::new(root), Path::new(out)),
        ["refuse", call, command, ref rest @ ..] => refuse(call, command, rest),
        _ => bail!("usage: fixture serve [--small] | push ADDRESS | refuse CALL COMMAND… | snapshot NAME ROOT OUT"),
    }
}

fn serve(applications: bool) -> Result<()> {
    let registry = Registry::start(false)?;
    push(&registry.address, applications)?;
    let mut file = tempfile::Builder::new().prefix("registries-").suffix(".conf").tempfile()?;
    file.write_all(mirror_of_docker_hub(&registry.address).as_bytes())?;
    println!("{} {}", registry.address, file.path().display());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn push(address: &str, applications: bool) -> Result<()> {
    for (name, bundle) in catalog::small()? {
        registry::push(address, name, &bundle)?;
    }
    if applications {
        for (name, bundle) in catalog::applications()? {
            registry::push(address, name, &bundle)?;
        }
    }
    Ok(())
}

/// Replaces this process by `command`, below a filter that answers one system call itself.
fn refuse(call: &str, command: &str, rest: &[&str]) -> Result<()> {
    // the number is the same on every architecture: it is one of the calls added since Linux 5.0
    let number = match call {
        "fsopen" => 430,
        "clone3" => 435,
        _ => bail!("{call}: only fsopen and clone3 can be refused"),
    };
    let instruction = |code, jt, jf, k| sys::seccomp::Instruction { code, jt, jf, k };
    let filter = [
        instruction(0x20, 0, 0, 0),                // load the number
        instruction(0x15, 0, 1, number),           // this one?
        instruction(0x06, 0, 0, 0x0005_0000 | 19), // SECCOMP_RET_ERRNO, ENODEV
        instruction(0x06, 0, 0, 0x7fff_0000),      // SECCOMP_RET_ALLOW
    ];
    sys::seccomp::load(&filter, 0)?;
    Err(std::process::Command::new(command).args(rest).exec()).context(command.to_owned())
}
