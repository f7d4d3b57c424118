//! Taking ids of the host for a container that is being made: `users/ID` says which ones it has, for as long as it is there.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use images::Image;
use sys::Call;

use super::choose;
use crate::config::Config;
use crate::create::folder;
use crate::error::During;
use crate::request::{AutoUsers, CreateRequest, UserMap, UserPool, Users};
use crate::spec::user;
use crate::{Engine, Error, Record};

/// Ids that are taken. Its file is locked until the container's folder is there, which says from then on that somebody has them.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) users: UserMap,
    file: File,
}

/// The users that `request` wants for the container `id`, unless they are the host's.
///
/// # Errors
/// None are free; a range is none.
pub(crate) fn take(engine: &Engine, request: &CreateRequest, image: &Image, id: &str) -> Result<Option<Taken>, Error> {
    let config = &engine.config;
    let room = match &request.users {
        Users::Host => return Ok(None),
        Users::Auto(auto) if auto.size.is_none() => {
            let files = engine.files_of(&image.layers.iter().map(|layer| layer.digest.clone()).collect::<Vec<_>>(), "overlay")?;
            let own = request.user.as_deref().filter(|user| !user.is_empty()).unwrap_or(&image.config.config.user);
            user::room(&files, own)
        }
        _ => 0,
    };
    let what = || "take users of its own";
    let _all = alone(config)?;
    let users = match &request.users {
        Users::Auto(auto) => {
            let invalid = |why| Error::Invalid { what: "--userns auto".to_owned(), why };
            let auto = config.ids().map_or(Cow::Borrowed(auto), |ids| Cow::Owned(of_home(auto, ids.count)));
            Cow::Owned(choose::choose(&auto, &taken(config)?, room).map_err(invalid)?)
        }
        Users::Map(users) => Cow::Borrowed(users),
        Users::Host => return Ok(None),
    };
    users.check()?;
    config.ids().map_or(Ok(()), |ids| users.within(ids.count))?;
    let path = path(config, id);
    let mut file = File::create_new(&path).call(|| format!("open({path:?}, O_CREAT)")).during(what)?;
    let mut write = || -> io::Result<()> {
        file.lock()?;
        file.write_all(&serde_json::to_vec(&*users)?)?;
        // What a container has that comes back after a power cut is not given to another one.
        if request.remove { Ok(()) } else { file.sync_data() }
    };
    let written = write().call(|| format!("write({path:?})")).during(what);
    written.inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(Some(Taken { users: users.into_owned(), file }))
}

/// From the ids of a home, but for its user's own.
fn of_home(auto: &AutoUsers, (uids, gids): (u32, u32)) -> AutoUsers {
    let pool = |count: u32| vec![(1, count.saturating_sub(1))];
    AutoUsers { pool: UserPool { uids: pool(uids), gids: pool(gids) }, ..auto.clone() }
}

impl Taken {
    /// The container has its folder, or there will be none.
    pub(crate) fn settled(self) {
        drop(self.file);
    }
}

/// Whoever chooses, or looks who has chosen, does so alone, for some milliseconds.
fn alone(config: &Config) -> Result<File, Error> {
    let what = || "look which users are taken";
    folder(&config.users()).during(what)?;
    let all = File::open(config.users()).call(|| "open(users)").during(what)?;
    all.lock().call(|| "flock(users)").during(what)?;
    Ok(all)
}

/// The users of all containers that have their own, also of those that are being made.
pub(super) fn all(config: &Config) -> Result<Vec<UserMap>, Error> {
    let _all = alone(config)?;
    taken(config)
}

/// What others have. Files of containers that are gone are removed.
fn taken(config: &Config) -> Result<Vec<UserMap>, Error> {
    let what = || "look which users are taken";
    let mut all = Vec::new();
    for name in sys::fs::open_dir(config.users()).and_then(sys::fs::list).during(what)? {
        let path = config.users().join(&name);
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.call(|| format!("open({path:?})")).during(what)?,
        };
        // In this order: its maker lets go when the folder is there.
        let is_made = file.try_lock().is_err();
        if !is_made && !config.containers().join(&name).exists() {
            let _ = fs::remove_file(&path);
            continue;
        }
        let bytes = fs::read(&path).call(|| format!("read({path:?})")).during(what)?;
        all.push(serde_json::from_slice(&bytes).map_err(|source| Error::Damaged { path, source })?);
    }
    Ok(all)
}

/// Where it is noted, for whoever removes the container.
pub(crate) fn note(config: &Config, record: &Record) -> Option<PathBuf> {
    (record.namespaces.users.is_some() && record.pod.is_none()).then(|| path(config, &record.id))
}

/// Gives back what a container has taken, once there is none.
pub(crate) fn forget(config: &Config, record: &Record) {
    if let Some(path) = note(config, record) {
        let _ = fs::remove_file(path);
    }
}

fn path(config: &Config, id: &str) -> PathBuf {
    config.users().join(id)
}
