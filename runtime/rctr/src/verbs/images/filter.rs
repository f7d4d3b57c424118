//! `--filter KEY=VALUE` and the repository: names fit one of the patterns; all of the rest must fit.

use anyhow::{Context as _, Result};
use engine::Nanos;
use images::{Image, Reference, Store};

use super::created;
use crate::parse::{self, PruneFilter};

/// One filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    Dangling(bool),
    Reference(String),
    Before(String),
    Since(String),
    Other(PruneFilter),
}

pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    match (key, value) {
        ("dangling", "true" | "1") => Ok(Filter::Dangling(true)),
        ("dangling", "false" | "0") => Ok(Filter::Dangling(false)),
        ("dangling", _) => Err(format!("dangling={value:?} is neither true nor false")),
        ("reference", _) => Ok(Filter::Reference(value.to_owned())),
        ("before", _) => Ok(Filter::Before(value.to_owned())),
        ("since", _) => Ok(Filter::Since(value.to_owned())),
        ("label", _) => Ok(Filter::Other(PruneFilter::label(value, true))),
        ("until", _) => parse::moment(value).map(|time| Filter::Other(PruneFilter::Until(time))),
        _ => Err(format!("there is no filter {key:?}: there are dangling, reference, label, before, since, until")),
    }
}

/// What is asked for, once it is known what images named in filters are.
pub(crate) struct Wanted<'a> {
    filters: &'a [Filter],
    /// Made before the first of these, and after the second.
    before: Option<Nanos>,
    since: Option<Nanos>,
    /// A repository, and a tag if it was given.
    repository: Option<(Reference, bool)>,
}

impl<'a> Wanted<'a> {
    /// # Errors
    /// An image that a filter names is not there; the repository is no name.
    pub(crate) fn new(filters: &'a [Filter], repository: Option<&str>, store: &Store) -> Result<Self> {
        let made = |name: &str| store.image(name).map(|image| created(&image)).context("filter");
        let (mut before, mut since) = (None, None);
        for filter in filters {
            match filter {
                Filter::Before(name) => before = Some(made(name)?.min(before.unwrap_or(Nanos::MAX))),
                Filter::Since(name) => since = Some(made(name)?.max(since.unwrap_or_default())),
                _ => {}
            }
        }
        let tagged = |text: &str| text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let repository = repository.map(|text| Ok::<_, anyhow::Error>((text.parse::<Reference>()?, tagged(text)))).transpose()?;
        Ok(Wanted { filters, before, since, repository })
    }

    /// Whatever its names are.
    pub(crate) fn image(&self, image: &Image) -> bool {
        let time = created(image);
        let fits = |filter: &Filter| match filter {
            Filter::Dangling(dangling) => image.names.is_empty() == *dangling,
            Filter::Other(filter) => filter.fits(time, &image.config.config.labels),
            _ => true,
        };
        self.before.is_none_or(|before| time < before)
            && self.since.is_none_or(|since| time > since)
            && self.filters.iter().all(fits)
    }

    /// Images without a name may be shown.
    pub(crate) fn nameless(&self) -> bool {
        self.repository.is_none() && self.patterns().next().is_none()
    }

    pub(crate) fn name(&self, name: &Reference) -> bool {
        let in_repository = self.repository.as_ref().is_none_or(|(wanted, tagged)| {
            let same = wanted.registry() == name.registry() && wanted.repository() == name.repository();
            same && (!tagged || (wanted.tag(), wanted.digest()) == (name.tag(), name.digest()))
        });
        let fits = |pattern: &str| matches(pattern, &name.familiar()) || matches(pattern, &name.familiar_name());
        in_repository && (self.patterns().next().is_none() || self.patterns().any(fits))
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.filters.iter().filter_map(|filter| if let Filter::Reference(pattern) = filter { Some(pattern.as_str()) } else { None })
    }
}

/// A pattern as Go's path.Match has it: `*` and `?` stay within a part, `[a-z]` and `[^a-z]` are one letter, a backslash takes the next
/// letter as it is. What is no pattern fits nothing.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where the last star was, and what it has taken so far.
    let (mut star, mut p, mut t) = (None, 0, 0);
    while t < text.len() || p < pattern.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
            continue;
        }
        match one(&pattern[p..], text.get(t).copied()) {
            Some(length) => (p, t) = (p + length, t + 1),
            None => match star {
                Some((at, taken)) if text.get(taken).is_some_and(|letter| *letter != '/') => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
    true
}

/// How much of the pattern stands for one letter, if it fits.
fn one(pattern: &[char], letter: Option<char>) -> Option<usize> {
    let (first, letter) = (pattern.first()?, letter?);
    match first {
        '?' => (letter != '/').then_some(1),
        '[' => {
            let not = pattern.get(1) == Some(&'^');
            let start = if not { 2 } else { 1 };
            let end = start + pattern[start..].iter().position(|other| *other == ']')?;
            let inside = &pattern[start..end];
            let mut found = false;
            let mut at = 0;
            while at < inside.len() {
                let high = if inside.get(at + 1) == Some(&'-') { inside.get(at + 2) } else { None };
                found |= (inside[at]..=*high.unwrap_or(&inside[at])).contains(&letter);
                at += if high.is_some() { 3 } else { 1 };
            }
            (found != not && letter != '/').then_some(end + 1)
        }
        '\\' => (pattern.get(1) == Some(&letter)).then_some(2),
        _ => (*first == letter).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_go() {
        for (pattern, text) in [
            ("busy*", "busybox:latest"),
            ("*", "busybox:latest"),
            ("*/*", "a/b:1"),
            ("*box*", "busybox:1"),
            ("b?sy[a-c]o[^y]", "busybox"),
            ("a*b*c", "axbxbc"),
            ("\\*", "*"),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("busy", "busybox"), ("*", "a/b"), ("?", "/"), ("[", "["), ("[^a]", "a"), ("a*b", "axc"), ("\\", "x"), ("x", "")]
        {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn filters_are_read() {
        assert_eq!(parse("dangling=1"), Ok(Filter::Dangling(true)));
        assert_eq!(parse("reference=a=b"), Ok(Filter::Reference("a=b".into())));
        assert!(matches!(parse("label=a=b"), Ok(Filter::Other(PruneFilter::Label { .. }))));
        for text in ["dangling=x", "until=x", "name=x", "label", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
