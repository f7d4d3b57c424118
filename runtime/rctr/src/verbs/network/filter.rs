//! `--filter KEY=VALUE` of networks: filters of one key are alternatives, those of different keys must all fit; labels must all fit.

use engine::{Nanos, NetworkMode, NetworkRecord, Record};

use crate::parse;

/// One filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    key: String,
    value: String,
    /// For `until`.
    before: Nanos,
}

const KEYS: [&str; 9] = ["dangling", "driver", "id", "label", "label!", "name", "scope", "type", "until"];

pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    if !KEYS.contains(&key) {
        return Err(format!("there is no filter {key:?}: there are {}", KEYS.join(", ")));
    }
    let allowed: &[&str] = match key {
        "dangling" => &["true", "false", "1", "0"],
        "type" => &["custom", "builtin"],
        _ => &[value],
    };
    if !allowed.contains(&value) {
        return Err(format!("{value:?} is no value of the filter {key}: there are {}", allowed.join(", ")));
    }
    let before = if key == "until" { parse::moment(value)? } else { 0 };
    Ok(Filter { key: key.to_owned(), value: value.to_owned(), before })
}

pub(crate) fn asks_for_users(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| filter.key == "dangling")
}

/// All filters fit. `users` are the containers that there are.
pub(crate) fn all(filters: &[Filter], network: &NetworkRecord, users: &[Record]) -> bool {
    filters.iter().all(|filter| {
        if filter.key.starts_with("label") {
            fits(filter, network, users)
        } else {
            filters.iter().filter(|other| other.key == filter.key).any(|other| fits(other, network, users))
        }
    })
}

fn fits(filter: &Filter, network: &NetworkRecord, users: &[Record]) -> bool {
    let value = filter.value.as_str();
    let label = || match value.split_once('=') {
        Some((key, value)) => network.labels.get(key).is_some_and(|own| own == value),
        None => network.labels.contains_key(value),
    };
    match filter.key.as_str() {
        "dangling" => (!network.is_predefined() && !users.iter().any(|user| uses(user, network))) == matches!(value, "true" | "1"),
        "driver" => network.driver.word() == value,
        "id" => network.id.starts_with(value),
        "label" => label(),
        "label!" => !label(),
        "name" => network.name.contains(value),
        "scope" => value == "local",
        "type" => network.is_predefined() == (value == "builtin"),
        "until" => network.created < filter.before,
        _ => false,
    }
}

/// The container is to be connected to the network, whether it runs or not.
pub(super) fn uses(user: &Record, network: &NetworkRecord) -> bool {
    match user.network {
        NetworkMode::Bridge if user.networks.is_empty() => network.name == "bridge",
        NetworkMode::Bridge => user.networks.iter().any(|end| end.network == network.name),
        NetworkMode::Host => network.name == "host",
        NetworkMode::None => network.name == "none",
        NetworkMode::Container(_) | NetworkMode::Pod(_) => false,
    }
}
