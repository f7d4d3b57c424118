//! `rctr version`.

use anyhow::Result;
use serde_json::json;

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
    let program = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": "linux",
        "Arch": images::Platform::host().architecture,
        "KernelVersion": uname.release().to_string_lossy(),
    });
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
