//! Secrets on their way into a container: variables of its processes, and files in memory.

use std::fs::File;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use oci_spec::runtime::{Mount, Spec};
use sys::Call;

use crate::environment::environment;
use crate::error::During;
use crate::request::{SecretPlace, SecretUse};
use crate::{Engine, Error, Record, create};

/// The configuration of a container with its secrets. What of them it sees as files is made below `runtime`, which goes when it ends.
///
/// # Errors
/// [`Error::NoSuchSecret`] names one that is gone.
pub(crate) fn shown(engine: &Engine, record: &Record, runtime: &Path, mut spec: Spec) -> Result<Spec, Error> {
    if record.secrets.is_empty() {
        return Ok(spec);
    }
    if let Some(process) = spec.process_mut() {
        let env = with(process.env().as_deref().unwrap_or_default(), &variables(engine, record)?);
        process.set_env(Some(env));
    }
    let mut mounts = spec.mounts().clone().unwrap_or_default();
    let folder = runtime.join("secrets");
    for (at, secret) in record.secrets.iter().enumerate() {
        let SecretPlace::File { target, uid, gid, mode } = &secret.place else { continue };
        let during = || format!("show the secret {}", secret.name);
        create::folder(&folder).during(during)?;
        let path = folder.join(at.to_string());
        let owner = record.namespaces.users.as_ref().map_or(Ok((*uid, *gid)), |users| users.must(*uid, *gid))?;
        put(&path, &bytes(engine, secret)?, owner, *mode).call(|| format!("write({path:?})")).during(during)?;
        let mut mount = Mount::default();
        let options = ["bind", "rprivate", "ro", "nosuid", "nodev", "noexec"];
        mount.set_destination(target.clone()).set_typ(Some("bind".to_owned())).set_source(Some(path));
        mount.set_options(Some(options.map(str::to_owned).to_vec()));
        mounts.push(mount);
    }
    // A folder before what is below it.
    mounts.sort_by_key(|mount| mount.destination().components().count());
    spec.set_mounts(Some(mounts));
    Ok(spec)
}

/// The variables that secrets are, for processes of the container.
pub(crate) fn variables(engine: &Engine, record: &Record) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    for secret in &record.secrets {
        let SecretPlace::Variable(key) = &secret.place else { continue };
        let value = String::from_utf8(bytes(engine, secret)?).ok().filter(|value| !value.contains('\0'));
        let value = value.ok_or_else(|| {
            let why = "it is no text, which a variable must be: show it as a file".to_owned();
            Error::Invalid { what: format!("secret {}", secret.name), why }
        })?;
        all.push(format!("{key}={value}"));
    }
    Ok(all)
}

fn with(env: &[String], secrets: &[String]) -> Vec<String> {
    if secrets.is_empty() { env.to_vec() } else { environment(env, secrets) }
}

fn bytes(engine: &Engine, secret: &SecretUse) -> Result<Vec<u8>, Error> {
    match &secret.file {
        None => engine.secret_bytes(&secret.name),
        Some(path) => {
            let read = std::fs::read(path).call(|| format!("read({path:?})"));
            read.during(|| format!("read the secret {}", secret.name))
        }
    }
}

fn put(path: &Path, bytes: &[u8], (uid, gid): (u32, u32), mode: u32) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    fchown(&file, Some(uid), Some(gid))?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
}
