//! What the container may use.

use engine::{CreateRequest, Resources};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Limit of memory, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = parse::bytes)]
    memory: Option<i64>,
    /// Limit of CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::cpus)]
    cpus: Option<u64>,
    /// Weight for CPU time beside other containers; the usual one is 1024
    #[arg(short, long, value_name = "WEIGHT", value_parser = clap::value_parser!(u64).range(0..=262_144))]
    cpu_shares: Option<u64>,
    /// Limit of processes and threads; -1 is none
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pids_limit: Option<i64>,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) {
        request.resources =
            Resources { memory: self.memory, nano_cpus: self.cpus, cpu_shares: self.cpu_shares, pids: self.pids_limit };
    }
}
