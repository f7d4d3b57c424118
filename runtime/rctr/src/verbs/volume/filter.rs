//! `--filter KEY=VALUE` of volumes: labels must all fit, of the others one of each key.

use engine::Volume;

/// One filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    key: String,
    value: String,
}

impl Filter {
    /// Volumes with names go, too.
    pub(crate) fn means_all(&self) -> bool {
        self.key == "all" && truth(&self.value) == Some(true)
    }
}

/// Filters of `ls`.
pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    of(text, &["dangling", "driver", "label", "name"])
}

/// Filters of `prune`.
pub(crate) fn parse_prune(text: &str) -> Result<Filter, String> {
    of(text, &["all", "label", "label!"])
}

fn of(text: &str, keys: &[&str]) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    if !keys.contains(&key) {
        return Err(format!("there is no filter {key:?}: there are {}", keys.join(", ")));
    }
    if matches!(key, "dangling" | "all") && truth(value).is_none() {
        return Err(format!("{key}={value:?} is neither true nor false"));
    }
    Ok(Filter { key: key.to_owned(), value: value.to_owned() })
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// Whether a volume fits all filters.
pub(crate) fn fit(filters: &[Filter], volume: &Volume) -> bool {
    filters.iter().all(|filter| match filter.key.as_str() {
        "label" => labelled(&filter.value, volume),
        "label!" => !labelled(&filter.value, volume),
        "all" => true,
        _ => filters.iter().filter(|other| other.key == filter.key).any(|other| one(other, volume)),
    })
}

fn labelled(wanted: &str, volume: &Volume) -> bool {
    let labels = &volume.record.labels;
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
        None => labels.contains_key(wanted),
    }
}

fn one(filter: &Filter, volume: &Volume) -> bool {
    match filter.key.as_str() {
        "dangling" => truth(&filter.value) == Some(volume.users.is_empty()),
        "driver" => filter.value == "local",
        "name" => volume.name.contains(&filter.value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let volume = Volume {
            name: "data".to_owned(),
            record: engine::VolumeRecord { labels: [("a".to_owned(), "1".to_owned())].into(), ..Default::default() },
            mountpoint: "/".into(),
            users: vec![String::new()],
        };
        let fits = |texts: &[&str]| fit(&texts.iter().map(|text| parse(text).unwrap()).collect::<Vec<_>>(), &volume);
        assert!(fits(&[]) && fits(&["name=at", "label=a", "label=a=1", "dangling=false", "driver=local"]));
        assert!(fits(&["name=x", "name=da"]) && !fits(&["name=x"]) && !fits(&["label=a=2"]) && !fits(&["dangling=true"]));
        assert!(fit(&[parse_prune("label!=b").unwrap()], &volume) && !fit(&[parse_prune("label!=a=1").unwrap()], &volume));
        for bad in ["name", "colour=red", "dangling=maybe"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
