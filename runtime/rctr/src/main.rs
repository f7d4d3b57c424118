//! `rctr`: containers of this host from the command line, with Docker's verbs, flags, output and exit codes.
//!
//! ```text
//! argv ─▶ cli.rs (what was typed) ─▶ verbs/VERB.rs ─▶ engine (what it means) ─▶ output/ ─▶ exit.rs (the exit code)
//! ```
//!
//! Called as `rctr-generator` it is systemd's generator of units for containers: see `quadlet`. With a context (`contexts`) or `--host` the
//! command line is run on another host: see `remote`. `rctr system service` means the same by Docker's API: see `service`. Whoever is not root
//! goes on as root of namespaces of its own before anything else is done: see `rootless`.
//!
//! Each verb is one file: its arguments, whose comments are the help, and one function. Only this crate reads the
//! environment, prints and exits.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "this is the edge that prints and exits")]

mod cli;
mod context;
mod contexts;
mod detach;
mod exit;
mod notify;
mod output;
mod parse;
mod quadlet;
mod remote;
mod rootless;
mod service;
mod session;
mod settings;
mod terminal;
mod verbs;

use clap::CommandFactory;

fn main() {
    sys::signal::default_sigpipe();
    // `println!` panics when standard output cannot be written, such as on a full disk: an error like any other.
    std::panic::set_hook(Box::new(|panic| {
        let what = panic.payload_as_str().unwrap_or("internal error");
        match panic.location() {
            Some(at) if !what.starts_with("failed printing") => eprintln!("rctr: {what} ({}, line {})", at.file(), at.line()),
            _ => eprintln!("rctr: {what}"),
        }
        std::process::exit(exit::FAILED)
    }));
    if quadlet::is_called(std::env::args_os().next().as_ref()) {
        std::process::exit(quadlet::generator(std::env::args_os().skip(1)));
    }
    // Before anything is parsed: it has a command line of its own, which costs nothing here.
    if std::env::args_os().nth(1).is_some_and(|verb| verb == "oci") {
        let failed = verbs::oci::become_it(std::env::args_os().skip(2)).map(|never| match never {});
        std::process::exit(failed.unwrap_or_else(|error| exit::report(&error)));
    }
    let args: Vec<_> = std::env::args_os().collect();
    if args.len() < 2 {
        let mut command = cli::Cli::command();
        command.build();
        let _ = command.print_help();
        return;
    }
    let mut cli = match cli::Cli::read(&args) {
        Ok(cli) => cli,
        Err(error) => exit::usage(&error),
    };
    match cli.elsewhere() {
        Ok(None) => {}
        Ok(Some(host)) => std::process::exit(exit::report(&remote::forward(&host, &args))),
        Err(error) => std::process::exit(exit::report(&error)),
    }
    if let Err(error) = cli.enter_home() {
        std::process::exit(exit::report(&error));
    }
    let code = cli.run().unwrap_or_else(|error| exit::report(&error));
    std::process::exit(code);
}
