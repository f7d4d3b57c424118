//! What is in volumes that are written from objects of the API.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use api::kinds::pod::volume::{DownwardApiVolumeFile, KeyToPath, Volume};

use super::super::wanted::environment::Keys;
use super::super::wanted::facts;
use super::Given;

/// Files of one volume: path in it, mode, contents.
pub(super) type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// The files of a volume; none for a kind that is not known here.
pub(super) fn files(volume: &Volume, given: &Given<'_>) -> Result<Option<Files>, String> {
    let mut files = Files::new();
    let mode = |mode: Option<i32>| mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
    if let Some(map) = &volume.config_map {
        keys(&mut files, given.sources.object(false, &map.name, map.optional)?, &map.items, mode(map.default_mode), map.optional)?;
    } else if let Some(secret) = &volume.secret {
        let found = given.sources.object(true, &secret.secret_name, secret.optional)?;
        keys(&mut files, found, &secret.items, mode(secret.default_mode), secret.optional)?;
    } else if let Some(api) = &volume.downward_api {
        downward(&mut files, &api.items, mode(api.default_mode), given)?;
    } else if let Some(projected) = &volume.projected {
        let default = mode(projected.default_mode);
        for source in &projected.sources {
            if let Some(map) = &source.config_map {
                let found = given.sources.object(false, &map.name, map.optional)?;
                keys(&mut files, found, &map.items, default, map.optional)?;
            }
            if let Some(secret) = &source.secret {
                let found = given.sources.object(true, &secret.name, secret.optional)?;
                keys(&mut files, found, &secret.items, default, secret.optional)?;
            }
            if let Some(api) = &source.downward_api {
                downward(&mut files, &api.items, default, given)?;
            }
            if let Some(token) = &source.service_account_token {
                let text = given.tokens.get(&token.audience).ok_or("there is no token for it")?;
                add(&mut files, &token.path, default, text.clone().into_bytes())?;
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn keys(files: &mut Files, keys: Option<&Keys>, items: &[KeyToPath], mode: u32, optional: Option<bool>) -> Result<(), String> {
    let Some(keys) = keys else { return Ok(()) };
    if items.is_empty() {
        return keys.iter().try_for_each(|(key, value)| add(files, key, mode, value.clone()));
    }
    for item in items {
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
        match keys.get(&item.key) {
            Some(value) => add(files, &item.path, mode, value.clone())?,
            None if optional == Some(true) => {}
            None => return Err(format!("references non-existent key: {}", item.key)),
        }
    }
    Ok(())
}

fn downward(files: &mut Files, items: &[DownwardApiVolumeFile], mode: u32, given: &Given<'_>) -> Result<(), String> {
    for item in items {
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => facts::field(&field.field_path, given.pod, given.ips, given.place)?,
            (None, Some(resource)) => facts::resource(resource, given.pod, None)?,
            (None, None) => String::new(),
        };
        add(files, &item.path, mode, value.into_bytes())?;
    }
    Ok(())
}

/// A path leads down, and into nothing of ours.
pub(super) fn add(files: &mut Files, path: &str, mode: u32, value: Vec<u8>) -> Result<(), String> {
    let down = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !down || path.starts_with("..") || path.contains('\0') {
        return Err(format!("{path:.100?} is no path in a volume"));
    }
    files.insert(path.to_owned(), (mode & 0o777, value));
    Ok(())
}
