//! The variables of a container: the image's, with those asked for on top.

use crate::Error;
use crate::build::expand;

/// The search path of a process whose image names none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of the image replaced and extended by those asked for.
pub(crate) fn environment(base: &[String], asked: &[String]) -> Vec<String> {
    let mut merged: Vec<String> = Vec::with_capacity(base.len() + asked.len() + 1);
    for entry in base.iter().chain(asked) {
        let key = entry.split_once('=').map_or(entry.as_str(), |(key, _)| key);
        let same = |old: &String| old.split_once('=').is_some_and(|(old, _)| old == key);
        match (merged.iter().position(same), entry.contains('=')) {
            (Some(at), true) => merged[at].clone_from(entry),
            (Some(at), false) => drop(merged.remove(at)),
            (None, true) => merged.push(entry.clone()),
            (None, false) => {}
        }
    }
    if !merged.iter().any(|entry| entry.starts_with("PATH=")) {
        merged.insert(0, DEFAULT_PATH.to_owned());
    }
    merged
}

/// Variables of the image with those of `asked`, one after the other, in whose values those before may be named, as in a Dockerfile. One that
/// is not there stands for nothing.
///
/// # Errors
/// [`Error::Invalid`] for what is no such value.
pub(crate) fn merged(base: Vec<String>, asked: &[String]) -> Result<Vec<String>, Error> {
    if asked.is_empty() {
        return Ok(base);
    }
    // The usual search path can be named, too.
    asked.iter().try_fold(environment(&base, &[]), |all, entry| {
        let invalid = |why: &str| Error::Invalid { what: format!("--env-merge {entry}"), why: why.to_owned() };
        let (key, value) = entry.split_once('=').ok_or_else(|| invalid("the form is KEY=VALUE"))?;
        let value = expand(value, '\\', &|name| find(&all, name)).map_err(|why| invalid(&why))?;
        Ok(environment(&all, &[format!("{key}={value}")]))
    })
}

fn find(all: &[String], name: &str) -> Option<String> {
    all.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn variables_are_replaced_by_key() {
        assert_eq!(environment(&words("A=1 PATH=/x B=2"), &words("B=3 C= A")), words("PATH=/x B=3 C="));
        assert_eq!(environment(&[], &words("A=1")), [DEFAULT_PATH, "A=1"]);
        // The caller's below the image's.
        assert_eq!(environment(&words("PATH=/c A=c B=c PATH=/i A=i"), &words("B")), words("PATH=/i A=i"));
    }

    #[test]
    fn values_are_made_of_the_images() {
        let merged = |base: &str, asked: &str| super::merged(words(base), &words(asked)).map_err(|error| error.to_string());
        assert_eq!(merged("A=1", ""), Ok(words("A=1")));
        let asked = "PATH=/own:${PATH} A=$A-${NONE}-${NONE:-x} B=${A}2 C='$A' D=\\$A";
        assert_eq!(merged("PATH=/bin A=1", asked), Ok(words("PATH=/own:/bin A=1--x B=1--x2 C=$A D=$A")));
        // A name is the whole of it.
        assert_eq!(merged("PATH=/bin AB=1", "C=$A."), Ok(words("PATH=/bin AB=1 C=.")));
        assert_eq!(merged("", "PATH=$PATH:/x").unwrap(), [format!("{DEFAULT_PATH}:/x")]);
        for (bad, why) in [("A", "KEY=VALUE"), ("A=${B", "--env-merge A=${B"), ("A='", "--env-merge A='")] {
            assert!(merged("", bad).is_err_and(|error| error.contains(why)), "{bad}: {:?}", merged("", bad));
        }
    }
}
