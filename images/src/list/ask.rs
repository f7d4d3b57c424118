//! Questions to registries that are about no image alone.

use super::{ListOptions, blocking};
use crate::Reference;
use crate::error::{Error, Result};
use crate::registry::{self, Found, Registry};

/// The tags of the repository that `reference` is in, in the registry's order. Blocks until they are known.
///
/// # Errors
/// There is no such repository, or the registry does not tell.
pub fn tags(reference: &Reference, options: &ListOptions) -> Result<Vec<String>> {
    blocking(async {
        let registry = Registry::new(reference, &options.registries, &options.credentials, &())?;
        Ok(registry.tags().await?)
    })
}

/// Repositories of the registry that `any` is in which have to do with `term`, at most `limit` of them. Blocks until they are known.
///
/// # Errors
/// The registry cannot be searched, as most but Docker Hub.
pub fn search(any: &Reference, term: &str, limit: u32, options: &ListOptions) -> Result<Vec<Found>> {
    let found = registry::search(any, term, limit, &options.registries, &options.credentials);
    blocking(async { found.await.map_err(Error::from) })
}
