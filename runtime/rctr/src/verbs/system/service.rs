//! `rctr system service`.

use std::time::Duration;

use anyhow::Result;

use crate::context::Context;
use crate::service::{self, Place};

/// Serve Docker's API on a socket, for the docker command, Compose and other programs that speak it: DOCKER_HOST=unix:///run/rctr/docker.sock
///
/// Whoever may connect is root here: the socket is root's, and of the group docker where there is one. Nothing runs that needs it: it ends when
/// nobody asks for anything, and systemd's rctr-docker.socket starts it when somebody does.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after so many seconds without a request; 0 is never
    #[arg(short, long, value_name = "SECONDS", default_value_t = 5)]
    time: u64,
    /// unix:///PATH [default: docker.sock in the folder of --run, or the socket that systemd passes on]
    #[arg(value_name = "URI")]
    place: Option<Place>,
}

/// Serves until nobody asks any more.
pub(crate) fn run(context: &Context, args: &Args) -> Result<i32> {
    let idle = (args.time > 0).then(|| Duration::from_secs(args.time));
    service::run(context, args.place.as_ref(), idle)?;
    Ok(0)
}
