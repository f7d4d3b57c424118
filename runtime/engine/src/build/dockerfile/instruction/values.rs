//! The words of an instruction.

use super::flags::Flags;
use super::{Command, Copy, Healthcheck, Wrong, wrong};
use crate::build::dockerfile::lines::{Heredoc, is_heredoc};
use crate::build::dockerfile::words;

pub(super) fn stage_name(name: &str) -> Result<String, Wrong> {
    let lower = name.to_ascii_lowercase();
    let fits = lower.starts_with(|letter: char| letter.is_ascii_lowercase())
        && lower.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    match fits {
        true => Ok(lower),
        false => wrong(
            name,
            format!("invalid name for build stage: {name:?}: use letters, digits, '-', '_' and '.', and begin with a letter"),
        ),
    }
}

pub(super) fn argument(word: &str) -> Result<(String, Option<String>), Wrong> {
    match word.split_once('=') {
        Some(("", _)) => wrong(word, "ARG names can not be blank"),
        Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
        None => Ok((word.to_owned(), None)),
    }
}

/// `NAME=VALUE …`, or the old form of one pair: `NAME the rest`.
pub(super) fn pairs(verb: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, Wrong> {
    let words = words::raw(rest, escape);
    let Some(first) = words.first() else { return wrong(verb, format!("{verb} requires at least one argument")) };
    if !first.contains('=') {
        let value = rest.trim_start()[first.len()..].trim();
        if value.is_empty() {
            return wrong(first, format!("{verb} must have two arguments"));
        }
        return Ok(vec![(first.clone(), value.to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => wrong(word, format!("{verb} names can not be blank")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => wrong(word, format!("syntax error: can't find = in {word:?}: must be of the form: name=value")),
    };
    words.iter().map(pair).collect()
}

pub(super) fn copy(rest: &str, heredocs: &[Heredoc], flags: &mut Flags, escape: char) -> Result<Copy, Wrong> {
    let verb = flags.verb.clone();
    let mut words = list(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
    if words.len() < 2 {
        return wrong(
            &verb,
            format!("{verb} requires at least two arguments, but {} were provided: source and destination", words.len()),
        );
    }
    let target = words.pop().unwrap_or_default();
    words.retain(|word| is_heredoc(word, escape).is_none_or(|name| !heredocs.iter().any(|heredoc| heredoc.name == name)));
    let add = verb == "ADD";
    let copy = Copy {
        sources: words,
        target,
        heredocs: heredocs.to_vec(),
        from: if add { None } else { flags.text("from")? },
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or_default(),
        parents: if add { false } else { flags.switch("parents")?.unwrap_or_default() },
        exclude: flags.texts("exclude")?,
        checksum: if add { flags.text("checksum")? } else { None },
        keep_git_dir: if add { flags.switch("keep-git-dir")?.unwrap_or_default() } else { false },
        unpack: if add { flags.switch("unpack")? } else { None },
    };
    Ok(copy)
}

pub(super) fn healthcheck(rest: &str, flags: &mut Flags) -> Result<Healthcheck, Wrong> {
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let none =
        || Healthcheck { command: None, interval: None, timeout: None, start_period: None, start_interval: None, retries: None };
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if command_text.trim().is_empty() => Ok(none()),
        "NONE" => wrong(command_text.trim(), "HEALTHCHECK NONE takes no arguments"),
        "CMD" => {
            let command = match command(command_text.trim()) {
                Command::Shell(text) if text.is_empty() => return wrong(kind, "missing command after HEALTHCHECK CMD"),
                Command::Exec(words) if words.is_empty() => return wrong(kind, "missing command after HEALTHCHECK CMD"),
                command => command,
            };
            let retries = match flags.text("retries")? {
                None => None,
                Some(text) => match text.parse::<u32>() {
                    Ok(retries) => Some(retries),
                    Err(_) => return wrong(&text, format!("--retries {text:?} is no number from 0 on")),
                },
            };
            Ok(Healthcheck {
                command: Some(command),
                interval: flags.duration("interval")?,
                timeout: flags.duration("timeout")?,
                start_period: flags.duration("start-period")?,
                start_interval: flags.duration("start-interval")?,
                retries,
            })
        }
        "" => wrong("HEALTHCHECK", "HEALTHCHECK requires at least one argument: CMD or NONE"),
        _ => wrong(kind, format!("unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
}

/// `["a", "b"]` or a line for the shell.
pub(super) fn command(text: &str) -> Command {
    match list(text) {
        Some(words) => Command::Exec(words),
        None => Command::Shell(text.to_owned()),
    }
}

/// A JSON list of strings.
pub(super) fn list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}
