//! What is noted with each record of a container's log: `--log-opt tag`, `labels` and `env`, as Docker has them.

use crate::request::LogConfig;
use crate::{Engine, Error, Record};

impl Engine {
    /// What is noted with each record of a container's log, as `--log-opt` says.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`].
    pub fn log_notes(&self, given: &str) -> Result<Vec<(String, String)>, Error> {
        attributes(&self.container(given)?.record)
    }
}

/// The attributes of `json-file`.
pub(crate) fn attributes(record: &Record) -> Result<Vec<(String, String)>, Error> {
    let log = &record.tuning.log;
    let mut all = Vec::new();
    if let Some(template) = &log.tag {
        all.push(("tag".to_owned(), tag(template, record)?));
    }
    all.extend(chosen(log, record));
    Ok(all)
}

/// The fields of the journal.
pub(crate) fn fields(record: &Record) -> Result<Vec<(String, String)>, Error> {
    let log = &record.tuning.log;
    let tag = tag(log.tag.as_deref().unwrap_or("{{.ID}}"), record)?;
    let own = [
        ("CONTAINER_ID", record.id[..12].to_owned()),
        ("CONTAINER_ID_FULL", record.id.clone()),
        ("CONTAINER_NAME", record.name.clone()),
        ("CONTAINER_TAG", tag.clone()),
        ("IMAGE_NAME", record.image.name.clone()),
        ("SYSLOG_IDENTIFIER", tag),
    ];
    Ok(own.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(chosen(log, record)).collect())
}

/// Labels and variables that were asked for and are there.
fn chosen<'a>(log: &'a LogConfig, record: &'a Record) -> impl Iterator<Item = (String, String)> + 'a {
    let labels = log.labels.iter().filter_map(|key| Some((key.clone(), record.labels.get(key)?.clone())));
    let value =
        |key: &String| record.env.iter().find_map(|entry| entry.strip_prefix(key.as_str())?.strip_prefix('=').map(str::to_owned));
    labels.chain(log.env.iter().filter_map(move |key| Some((key.clone(), value(key)?))))
}

/// A template of names with what they are for this container.
///
/// # Errors
/// It has something else in braces.
pub(crate) fn tag(template: &str, record: &Record) -> Result<String, Error> {
    let image = record.image.id.hex();
    let known = [
        ("ID", &record.id[..12.min(record.id.len())]),
        ("FullID", &record.id),
        ("Name", &record.name),
        ("ImageID", &image[..12]),
        ("ImageFullID", record.image.id.as_str()),
        ("ImageName", &record.image.name),
        ("DaemonName", "rctr"),
    ];
    let wrong = || {
        let names: Vec<_> = known.iter().map(|(name, _)| format!("{{{{.{name}}}}}")).collect();
        Error::Invalid { what: format!("--log-opt tag={template}"), why: format!("in braces there are {}", names.join(", ")) }
    };
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after.split_once("}}").ok_or_else(wrong)?;
        let name = inside.trim().strip_prefix('.').ok_or_else(wrong)?;
        let (_, value) = known.iter().find(|(own, _)| *own == name).ok_or_else(wrong)?;
        text.push_str(before);
        text.push_str(value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}
