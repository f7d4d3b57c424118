//! `rctr commit`.

use anyhow::{Result, bail};
use engine::CommitRequest;
use images::{Change, Reference};

use crate::context::Context;
use crate::output::amount;

/// Make an image of a container
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who makes it, such as "Ada <ada@example.org>"
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    author: String,
    /// What the image's history says
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    message: String,
    /// Change how the image runs, as a line of a Dockerfile would: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME,
    /// WORKDIR
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<Change>,
    /// Freeze a running container meanwhile
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pause: bool,
    /// The same as --pause=false
    #[arg(long)]
    no_pause: bool,
    /// Name or id
    container: String,
    /// [HOST[:PORT]/]NAME[:TAG]
    name: Option<Reference>,
}

/// Makes the image, and prints its id.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    if args.name.as_ref().is_some_and(|name| name.tag().is_none()) {
        bail!("commit: a name with a digest cannot be given to a new image");
    }
    let request = CommitRequest {
        name: args.name,
        author: args.author,
        message: args.message,
        changes: args.change,
        pause: args.pause && !args.no_pause,
        created: amount::rfc3339(engine::now()),
    };
    println!("{}", context.engine()?.commit(&args.container, &request)?.id);
    Ok(0)
}
