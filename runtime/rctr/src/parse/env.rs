//! Variables and labels.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// The variables of all `--env-file` and `-e`, in this order. A bare `KEY` takes the caller's value. When the caller has none, it stands for
/// nothing in a file, and after `-e` it stays bare, which takes the image's variable away: as with Docker.
pub(crate) fn environment(files: &[PathBuf], given: &[String], caller: impl Fn(&str) -> Option<String>) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("--env-file: read the variables in {}", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = entry(line, &caller);
            all.extend(entry.with_context(|| format!("{}, line {}", file.display(), number + 1))?);
        }
    }
    for text in given {
        all.push(entry(text, &caller)?.unwrap_or_else(|| text.clone()));
    }
    Ok(all)
}

fn entry(text: &str, caller: &impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    let key = text.split_once('=').map_or(text, |(key, _)| key);
    if key.is_empty() || key.contains(char::is_whitespace) || text.contains('\0') {
        bail!("{text:?} is no variable: the form is KEY=VALUE");
    }
    Ok(if text.contains('=') { Some(text.to_owned()) } else { caller(key).map(|value| format!("{key}={value}")) })
}

/// All variables of the caller, but for those that are no text: a container's are.
pub(crate) fn callers(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let text = |(key, value): (OsString, OsString)| Some(format!("{}={}", key.to_str()?, value.to_str()?));
    all.filter_map(text).collect()
}

/// The name of a variable.
pub(crate) fn variable(key: &str) -> Result<String, String> {
    match key.is_empty() || key.contains(['=', '\0']) {
        true => Err(format!("{key:?} is no name of a variable")),
        false => Ok(key.to_owned()),
    }
}

/// A variable whose value is made of others'.
pub(crate) fn merged_variable(text: &str) -> Result<String, String> {
    match entry(text, &|_| None) {
        Ok(Some(entry)) => Ok(entry),
        _ => Err(format!("{text:?} is no variable: the form is KEY=VALUE")),
    }
}

/// `KEY=VALUE`, or `KEY` for an empty value.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        Err(format!("{text:?} is no label: the form is KEY=VALUE"))
    } else {
        Ok((key.to_owned(), value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_variables_are_text() {
        use std::os::unix::ffi::OsStringExt;
        let all = [("A".into(), "1 = 2".into()), ("B".into(), OsString::from_vec(vec![0xff])), ("C".into(), "".into())];
        assert_eq!(callers(all.into_iter()), ["A=1 = 2", "C="]);
    }

    #[test]
    fn one_that_is_made_of_others_has_a_value() {
        assert_eq!(merged_variable("A=${B}:x"), Ok("A=${B}:x".to_owned()));
        for bad in ["A", "=x", "", "A B=c"] {
            assert!(merged_variable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_come_first_and_bare_keys_are_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("env");
        std::fs::write(&file, "# comment\n\nA=1\n  B=x y \nHOME\nNONE\n").unwrap();
        let caller = |key: &str| (key == "HOME").then(|| "/h".to_owned());
        let all = environment(std::slice::from_ref(&file), &["A=2".into(), "GONE".into()], caller).unwrap();
        assert_eq!(all, ["A=1", "B=x y ", "HOME=/h", "A=2", "GONE"]);
        std::fs::write(&file, "=1\n").unwrap();
        let error = environment(&[file], &[], caller).unwrap_err();
        assert!(format!("{error:#}").contains("line 1"));
    }
}
