//! What was probably meant by a verb that there is not.
//!
//! clap looks for names with the same letters at about the same places, which finds nothing for a short name with two letters swapped.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The error, with the names that are nearest if there is no such verb.
pub(super) fn hinted(mut error: clap::Error, command: &Command, args: &[OsString]) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
    {
        let verbs = above(command, args, typed).get_subcommands();
        let names = verbs.flat_map(|verb| std::iter::once(verb.get_name()).chain(verb.get_all_aliases()));
        let near: Vec<String> = nearest(typed, names).into_iter().map(str::to_owned).collect();
        if !near.is_empty() {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(near));
        }
    }
    error
}

/// The command that `typed` was to be a verb of.
fn above<'a>(mut command: &'a Command, args: &[OsString], typed: &str) -> &'a Command {
    let mut words = args.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != typed);
    while let Some(word) = words.next() {
        if let Some(verb) = command.find_subcommand(word) {
            command = verb;
        } else if takes_next(command, word) {
            words.next();
        }
    }
    command
}

/// Whether a word is a flag whose value is the next one.
fn takes_next(command: &Command, word: &str) -> bool {
    let is_it = |arg: &&clap::Arg| match word.strip_prefix("--") {
        Some(long) => arg.get_long() == Some(long),
        None => word.strip_prefix('-').is_some_and(|short| arg.get_short().is_some_and(|own| short == own.to_string())),
    };
    command.get_arguments().find(is_it).is_some_and(|arg| arg.get_action().takes_values())
}

/// The names that are fewest changes away: a letter more, less, or another, or two that are swapped. One change in three letters, and two
/// at most.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let most = match typed.chars().count() {
        0 | 1 => return Vec::new(),
        2..6 => 1,
        _ => 2,
    };
    let mut found: Vec<(usize, &str)> = names.map(|name| (strsim::osa_distance(typed, name), name)).collect();
    let least = found.iter().map(|(distance, _)| *distance).min().filter(|least| *least <= most);
    found.retain(|(distance, _)| Some(*distance) == least);
    let mut found: Vec<&str> = found.into_iter().map(|(_, name)| name).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    #[test]
    fn names_with_swapped_letters_are_near() {
        let names = ["run", "rm", "rmi", "ps", "cp", "stats", "start", "stop", "build", "builder", "images", "image"];
        for (typed, expected) in [
            ("rnu", &["run"][..]),
            ("biuld", &["build"]),
            ("imgaes", &["images"]),
            ("sp", &["cp", "ps"]),
            ("stat", &["start", "stats"]),
            ("buildre", &["builder"]),
            ("imeags", &["image", "images"]),
            ("r", &[]),
            ("compose", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), expected, "{typed}");
        }
    }

    #[test]
    fn a_mistyped_verb_is_answered_with_the_one_that_was_meant() {
        for (words, expected) in [
            (&["rnu", "busybox"][..], Some("'run'")),
            (&["biuld", "."], Some("'build'")),
            (&["--root", "image", "rnu"], Some("'run'")),
            (&["-c", "image", "rnu"], Some("'run'")),
            (&["--root=image", "exce"], Some("'exec'")),
            (&["network", "crate", "x"], Some("'create'")),
            (&["image", "sl"], Some("'ls'")),
            (&["container", "rnu"], Some("'run'")),
            (&["volume", "lss"], Some("'ls'")),
            (&["zzzz"], None),
        ] {
            let args: Vec<OsString> = std::iter::once(&"rctr").chain(words).map(Into::into).collect();
            let error = Cli::read(&args).unwrap_err();
            let text = error.to_string();
            match expected {
                Some(name) => assert!(text.contains(&format!("a similar subcommand exists: {name}\n")), "{words:?}: {text}"),
                None => assert!(!text.contains("similar"), "{words:?}: {text}"),
            }
        }
    }
}
