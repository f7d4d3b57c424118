//! `--filter` of the verbs that prune.

use std::collections::BTreeMap;

use engine::Nanos;

/// One filter; all that are given must fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PruneFilter {
    /// Made before this time.
    Until(Nanos),
    /// It has this label, or does not have it.
    Label { key: String, value: Option<String>, has: bool },
}

/// `until=TIME`, `label=KEY[=VALUE]` or `label!=KEY[=VALUE]`.
pub(crate) fn prune_filter(text: &str) -> Result<PruneFilter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    match key {
        "until" => Ok(PruneFilter::Until(super::moment(value)?)),
        "label" => Ok(PruneFilter::label(value, true)),
        "label!" => Ok(PruneFilter::label(value, false)),
        _ => Err(format!("there is no filter {key:?}: there are until, label and label!")),
    }
}

impl PruneFilter {
    /// `KEY` or `KEY=VALUE`.
    pub(crate) fn label(text: &str, has: bool) -> Self {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value.to_owned())));
        PruneFilter::Label { key: key.to_owned(), value, has }
    }

    /// Something that was made then, with these labels.
    pub(crate) fn fits(&self, created: Nanos, labels: &BTreeMap<String, String>) -> bool {
        match self {
            PruneFilter::Until(time) => created < *time,
            PruneFilter::Label { key, value, has } => {
                labels.get(key).is_some_and(|own| value.as_ref().is_none_or(|value| value == own)) == *has
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read() {
        let label = |value: Option<&str>, has| Ok(PruneFilter::Label { key: "a".into(), value: value.map(str::to_owned), has });
        assert_eq!(prune_filter("label=a"), label(None, true));
        assert_eq!(prune_filter("label=a=b=c"), label(Some("b=c"), true));
        assert_eq!(prune_filter("label!=a"), label(None, false));
        for text in ["until=x", "name=a", "label"] {
            assert!(prune_filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn they_fit_or_not() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let fits = |text: &str| prune_filter(text).unwrap().fits(5_000_000_000, &labels);
        assert!(fits("label=a") && fits("label=a=1") && fits("label!=b") && fits("label!=a=2") && fits("until=6"));
        assert!(!fits("label=b") && !fits("label=a=2") && !fits("label!=a") && !fits("until=5") && !fits("until=4"));
    }
}
