//! `rctr version`.

use anyhow::Result;
use serde_json::{Value, json};

use crate::context::Context;
use crate::output::template;

/// Print the version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the version of this program and of the kernel below it.
pub(crate) fn run(_context: &Context, args: Args) -> Result<i32> {
    let uname = rustix::system::uname();
    // There is no daemon: whoever asks for the server's version is answered by the same program.
    let program = program();
    let version = json!({ "Client": program, "Server": program });
    match args.format.as_deref() {
        Some(format) => println!("{}", template::one(format, &version)?),
        None => {
            println!("rctr {}", env!("CARGO_PKG_VERSION"));
            println!("Kernel: {} {}", uname.release().to_string_lossy(), uname.machine().to_string_lossy());
        }
    }
    Ok(0)
}

/// This program in the shape of Docker's API.
pub(crate) fn program() -> Value {
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": "linux",
        "Arch": images::Platform::host().architecture,
        "KernelVersion": rustix::system::uname().release().to_string_lossy(),
    })
}
