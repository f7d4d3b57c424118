//! The scopes that something is in, most specific first. That of a whole transport, an empty text, is left to the caller.

use std::path::Path;

use crate::Reference;

/// Of an image in a registry: its whole name, its repository, the namespaces above that, the registry, and domains as in `*.example.com`.
pub(crate) fn of_registry(reference: &Reference) -> Vec<String> {
    let repository = reference.name();
    let mut all = vec![reference.to_string(), repository.clone()];
    let mut name = repository.as_str();
    while let Some((above, _)) = name.rsplit_once('/') {
        all.push(above.to_owned());
        name = above;
    }
    // A port belongs to no domain.
    let mut domain = name.split(':').next().unwrap_or_default();
    while let Some((_, above)) = domain.split_once('.') {
        all.push(format!("*.{above}"));
        domain = above;
    }
    all
}

/// Of a file: its path, and the folders above it but for the root.
pub(crate) fn of_path(path: &Path) -> Vec<String> {
    let below_root = |path: &&Path| *path != Path::new("/") && !path.as_os_str().is_empty();
    path.ancestors().filter(below_root).map(|path| path.to_string_lossy().into_owned()).collect()
}
