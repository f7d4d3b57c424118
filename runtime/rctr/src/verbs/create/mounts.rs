//! Files of the host and of volumes.

use engine::{Bind, CreateRequest};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Show a file or folder of the host: /HOST:/CONTAINER[:ro]
    #[arg(short, long, value_name = "BIND", value_parser = parse::bind)]
    volume: Vec<Bind>,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) {
        request.binds = self.volume;
    }
}
