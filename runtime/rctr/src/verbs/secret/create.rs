//! `rctr secret create`.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::parse;

/// Keep a secret
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// file is the only one
    #[arg(short, long, value_name = "DRIVER", default_value = "file", value_parser = ["file"])]
    driver: String,
    /// Read it from this variable; then FILE is the variable's name
    #[arg(long)]
    env: bool,
    /// Add a label: KEY=VALUE
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// Take the place of one of this name
    #[arg(long)]
    replace: bool,
    /// Its name
    name: String,
    /// A file with it; - is standard input
    file: String,
}

/// Keeps it and prints its id.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let bytes = read(args).with_context(|| format!("secret {}", args.name))?;
    let labels = args.label.iter().cloned().collect();
    println!("{}", engine.secret_create(&args.name, &bytes, &labels, args.replace)?.id);
    Ok(0)
}

fn read(args: &Args) -> Result<Vec<u8>> {
    /// One byte more than a secret may have: then it is told so.
    const MOST: u64 = 512_001;
    let mut bytes = Vec::new();
    match args.file.as_str() {
        name if args.env => {
            let value = std::env::var_os(name).with_context(|| format!("there is no variable {name}"))?;
            bytes = value.into_encoded_bytes();
        }
        "-" => {
            if io::stdin().is_terminal() {
                bail!("standard input is a terminal: lead the secret here");
            }
            io::stdin().lock().take(MOST).read_to_end(&mut bytes).context("read standard input")?;
        }
        path => {
            let file = File::open(path).with_context(|| format!("open {path}"))?;
            file.take(MOST).read_to_end(&mut bytes).with_context(|| format!("read {path}"))?;
        }
    }
    Ok(bytes)
}
