//! `noded`: the node daemon. It serves Kubernetes' CRI v1 over the verbs of `engine`, so that a kubelet, crictl and critest use it in
//! containerd's place. As a node of our own cluster it is the kubelet, too (`agent`), and it runs the control plane (`control_plane`, over the
//! crate `control`), alone or in one process with a node.
//!
//! ```text
//! kubelet ─gRPC, unix socket─▶ cri/ one file a call: check (pure) ─▶ engine verb (blocking) ─▶ view (pure)
//! client ──SPDY, WebSocket───▶ streaming ─▶ sessions.rs ─▶ engine sessions
//! systemd ─socket, signals───▶ host/ listen · notify · log · logind
//! API ─────watches, questions─▶ agent/ ─▶ the same calls as the kubelet's
//! ```
//!
//! It holds no truth: what it answers is in the engine's folders, and containers live on without it. What it has in memory are calls that
//! are being done, so that the same call twice at once is one, and what it has read: `engine::Mirror` knows when that has changed.
#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "this is the edge that prints")]

mod agent;
mod cli;
mod config;
mod control_plane;
mod cri;
mod documents;
mod events;
mod host;
mod node;
mod once;
mod run;
mod samples;
mod sessions;
mod token;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    host::memory::one_heap();
    // Before anything is opened.
    let passed = host::listen::passed();
    let done = match cli::Cli::parse().verb {
        cli::Verb::Run(args) => passed.and_then(|passed| run::run(&args, passed)),
        cli::Verb::Token(args) => token::run(args),
        cli::Verb::Config(args) => run::check(&args),
        cli::Verb::Leave(args) => run::leave(&args),
        cli::Verb::Completion(args) => documents::completion(&args),
        cli::Verb::Man(args) => documents::man(&args),
        cli::Verb::ControlPlane(args) => control_plane::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noded: {}", host::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
