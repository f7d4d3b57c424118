//! `certs.d/HOST[:PORT]`: who else may vouch for a registry, and who we are there.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::registry::error::Error;

/// Files with certificates for one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::registry) struct Identity {
    /// Who else may vouch for the registry.
    pub(in crate::registry) authorities: Vec<PathBuf>,
    /// Certificate and key, or one file with both. The first pair is used.
    pub(in crate::registry) clients: Vec<(PathBuf, PathBuf)>,
}

impl Identity {
    pub(in crate::registry) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.clients.is_empty()
    }

    pub(in crate::registry) fn extend(&mut self, other: Identity) {
        self.authorities.extend(other.authorities);
        self.clients.extend(other.clients);
    }
}

/// The certificates for a registry in all `certs.d` folders.
pub(in crate::registry) fn certificates(folders: &[PathBuf], registry: &str) -> Result<Identity, Error> {
    let mut found = Identity::default();
    for folder in folders.iter().flat_map(|folder| named(folder, registry)) {
        found.extend(in_folder(&folder)?);
    }
    Ok(found)
}

/// The folders of a registry below a `certs.d`: containerd also writes the colon as `_`, because a colon is not possible everywhere.
pub(super) fn named(folder: &Path, registry: &str) -> Vec<PathBuf> {
    let mut names = vec![registry.to_owned()];
    if let Some((host, port)) = registry.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        names.push(format!("{host}_{port}_"));
    }
    names.iter().map(|name| folder.join(name)).collect()
}

fn in_folder(folder: &Path) -> Result<Identity, Error> {
    let mut found = Identity::default();
    for path in list(folder)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(Error::Certificates { path, problem: "its key is not beside it: NAME.cert needs NAME.key" });
                }
                found.clients.push((path, key));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The files of a folder in order; none if it is not there.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>, Error>>()?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let (ca, cert, key) = (make("r.example:5000/ca.crt"), make("r.example:5000/me.cert"), make("r.example:5000/me.key"));
        let second = make("r.example_5000_/more.crt");
        make("other/x.crt");
        let found = certificates(&[folder.path().to_owned(), "/no/such".into()], "r.example:5000").unwrap();
        assert_eq!(found, Identity { authorities: vec![ca, second], clients: vec![(cert, key.clone())] });
        assert!(certificates(&[folder.path().to_owned()], "r.example").unwrap().is_empty());
        fs::remove_file(key).unwrap();
        let error = certificates(&[folder.path().to_owned()], "r.example:5000").unwrap_err().to_string();
        assert!(error.ends_with("me.cert: its key is not beside it: NAME.cert needs NAME.key"), "{error}");
    }
}
