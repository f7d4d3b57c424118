//! `--NAME=VALUE` before the words of an instruction.

use std::time::Duration;

use super::{Wrong, wrong};

/// The words before everything else that begin with `--`, with their quotes taken away, and the rest.
pub(super) fn flags(text: &str, escape: char) -> (Vec<(String, Option<String>)>, String) {
    let mut found = Vec::new();
    let mut rest = text;
    while rest.starts_with("--") {
        let mut word = String::new();
        let mut quote = None;
        let mut end = rest.len();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match quote {
                None if letter.is_whitespace() => {
                    end = at;
                    break;
                }
                None if letter == '\'' || letter == '"' => quote = Some(letter),
                Some(open) if letter == open => quote = None,
                _ if letter == escape => word.extend(letters.next().map(|(_, next)| next)),
                _ => word.push(letter),
            }
        }
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        let (name, value) = match word[2..].split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word[2..].to_owned(), None),
        };
        found.push((name, value));
    }
    (found, rest.to_owned())
}

/// Flags of an instruction, taken one by one; those that nobody takes are none.
pub(super) struct Flags {
    pub(super) verb: String,
    pub(super) flags: Vec<(String, Option<String>)>,
}

impl Flags {
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, Wrong> {
        let (own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flags).into_iter().partition(|flag| flag.0 == name);
        self.flags = others;
        own.into_iter()
            .map(|(_, value)| value.map_or_else(|| wrong(name, format!("missing a value on flag: --{name}")), Ok))
            .collect()
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        let mut texts = self.texts(name)?;
        if texts.len() > 1 {
            return wrong(name, format!("duplicate flag specified: --{name}"));
        }
        Ok(texts.pop())
    }

    pub(super) fn switch(&mut self, name: &str) -> Result<Option<bool>, Wrong> {
        for flag in &mut self.flags {
            if flag.0 == name && flag.1.is_none() {
                flag.1 = Some("true".to_owned());
            }
        }
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => wrong(other, format!("expecting boolean value for flag --{name}, not: {other}")),
        }
    }

    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match duration(&text) {
            Some(time) if time.is_zero() || time >= Duration::from_millis(1) => Ok(Some(time)),
            Some(_) => wrong(&text, format!("--{name} {text:?} is shorter than 1ms")),
            None => wrong(&text, format!("--{name} {text:?} is no duration, such as 1m30s")),
        }
    }

    pub(super) fn none_left(&self) -> Result<(), Wrong> {
        match self.flags.first() {
            None => Ok(()),
            Some((name, _)) => wrong(&format!("--{name}"), format!("unknown flag: --{name} of {}", self.verb)),
        }
    }
}

/// A duration as Go writes it: `1m30s`, `1.5h`, `100ms`.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, seconds) = units.iter().find(|(unit, _)| rest.starts_with(unit) && (*unit != "m" || !rest.starts_with("ms")))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
    }
    (!text.is_empty() && total <= Duration::from_nanos(i64::MAX as u64)).then_some(total)
}
