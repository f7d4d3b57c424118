//! Which containers a verb is for: those that are named, or all that fit.

use anyhow::Result;
use engine::{Container, Engine};

use super::ps;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Which {
    /// All of them
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Those that fit, as with ps
    #[arg(long, value_name = "KEY=VALUE", value_parser = ps::filter::parse, conflicts_with = "containers")]
    filter: Vec<ps::filter::Filter>,
    /// Names or ids
    #[arg(required_unless_present_any = ["all", "filter"], value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Which {
    /// The names that were given; without any, the ids of containers that fit and that the verb is of use to, oldest first.
    ///
    /// # Errors
    /// A filter names a container that is not there.
    pub(crate) fn names(self, engine: &Engine, use_to: impl Fn(&Container) -> bool) -> Result<Vec<String>> {
        if !self.containers.is_empty() {
            return Ok(self.containers);
        }
        let everything = engine.containers()?;
        let fits = ps::filter::all(&self.filter, &everything)?;
        let mut names: Vec<_> = everything.iter().filter(|one| fits(one) && use_to(one)).map(|one| one.record.id.clone()).collect();
        names.reverse();
        Ok(names)
    }
}
