//! Command lines as Go programs read them: `--flag value`, `--flag=value`, and both with a single dash (`-no-subreaper`). A table of
//! flags is all that a verb needs: it is parsed, printed as help, and nothing in it can be forgotten.

use crate::error::{Failed, Result};

/// Where flags may be.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Order {
    /// Before and after other words.
    Anywhere,
    /// Before the first word that is none: what comes after it belongs to somebody else.
    First,
    /// Nowhere: all words are taken as they are.
    None,
}

/// A flag of a verb.
pub(crate) struct Flag {
    /// Its names, the one that the code uses first.
    pub(crate) names: &'static [&'static str],
    /// What its value is called; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    /// What it does.
    pub(crate) help: &'static str,
}

/// A switch.
pub(crate) const fn switch(names: &'static [&'static str], help: &'static str) -> Flag {
    Flag { names, value: None, help }
}

/// A flag with a value.
pub(crate) const fn value(names: &'static [&'static str], value: &'static str, help: &'static str) -> Flag {
    Flag { names, value: Some(value), help }
}

/// What a command line says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Args {
    flags: Vec<(&'static str, String)>,
    /// What is no flag.
    pub(crate) rest: Vec<String>,
}

impl Args {
    /// Reads `words` by a table.
    pub(crate) fn parse(words: &[String], table: &'static [Flag], order: Order) -> Result<Args> {
        let mut args = Args::default();
        if order == Order::None {
            args.rest = words.to_vec();
            return Ok(args);
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
                args.rest.push(word.clone());
                if order == Order::First {
                    break;
                }
                continue;
            };
            if name == "-" {
                break;
            }
            let name = name.strip_prefix('-').unwrap_or(name);
            let (name, given) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
            let Some(flag) = table.iter().find(|flag| flag.names.contains(&name)) else {
                return Err(Failed::new(format!("flag provided but not defined: -{name}")));
            };
            let text = match (flag.value, given) {
                (None, None) => "true".to_owned(),
                (None, Some(given)) => boolean(name, &given)?,
                (Some(_), Some(given)) => given,
                (Some(_), None) => words.next().cloned().ok_or_else(|| Failed::new(format!("flag needs an argument: -{name}")))?,
            };
            args.flags.push((flag.names[0], text));
        }
        args.rest.extend(words.cloned());
        Ok(args)
    }

    /// Whether a switch is on.
    pub(crate) fn on(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }

    /// The last value of a flag.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.flags.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a flag as a number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: &str| text.parse().map_err(|_| Failed::new(format!("invalid value {text:?} for flag -{name}")));
        self.get(name).map(parse).transpose()
    }

    /// The one word that is no flag.
    pub(crate) fn only(&self, what: &str) -> Result<&str> {
        match self.rest.as_slice() {
            [one] => Ok(one),
            [] => Err(Failed::new(format!("{what} is missing"))),
            _ => Err(Failed::new(format!("exactly one {what} is wanted, {} are given", self.rest.len()))),
        }
    }
}

fn boolean(name: &str, given: &str) -> Result<String> {
    match given {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".to_owned()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok("false".to_owned()),
        _ => Err(Failed::new(format!("invalid boolean value {given:?} for -{name}"))),
    }
}

/// How a flag is written.
pub(crate) struct Parts {
    /// With their dashes.
    pub(crate) names: Vec<String>,
    pub(crate) value: Option<&'static str>,
}

/// See [`Parts`].
pub(crate) fn parts(flag: &Flag) -> Parts {
    let dashed = |name: &&str| if name.len() == 1 { format!("-{name}") } else { format!("--{name}") };
    Parts { names: flag.names.iter().map(dashed).collect(), value: flag.value }
}

/// A table of flags as help.
pub(crate) fn help(table: &[Flag]) -> String {
    let left = |flag: &Flag| {
        let Parts { names, value } = parts(flag);
        let names = names.join(", ");
        value.map_or(names.clone(), |value| format!("{names} {value}"))
    };
    let width = table.iter().map(|flag| left(flag).len()).max().unwrap_or(0);
    table.iter().map(|flag| format!("  {:width$}  {}\n", left(flag), flag.help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Flag] = &[switch(&["no-subreaper"], ""), switch(&["force", "f"], ""), value(&["bundle", "b"], "DIR", "")];

    fn parse(words: &[&str], order: Order) -> Result<Args> {
        Args::parse(&words.iter().map(|word| word.to_string()).collect::<Vec<_>>(), TABLE, order)
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for words in [["-no-subreaper", "-bundle", "/x", "-f=false"], ["--no-subreaper", "-b", "/x", "--force=0"]] {
            let args = parse(&words, Order::Anywhere).ok().unwrap();
            assert!(args.on("no-subreaper") && !args.on("force"));
            assert_eq!(args.get("bundle"), Some("/x"));
        }
    }

    #[test]
    fn flags_come_anywhere_or_only_first() {
        assert_eq!(parse(&["id", "-f"], Order::Anywhere).ok().unwrap().rest, ["id"]);
        assert_eq!(parse(&["-f", "id", "ls", "-f", "--", "-x"], Order::First).ok().unwrap().rest, ["id", "ls", "-f", "--", "-x"]);
        assert_eq!(parse(&["--", "-f"], Order::Anywhere).ok().unwrap().rest, ["-f"]);
        assert_eq!(parse(&["-"], Order::Anywhere).ok().unwrap().rest, ["-"]);
    }

    #[test]
    fn nothing_unknown_passes() {
        for (words, text) in [
            (&["--no-such"][..], "flag provided but not defined: -no-such"),
            (&["-b"], "flag needs an argument: -b"),
            (&["-f=maybe"], "invalid boolean value \"maybe\" for -f"),
        ] {
            assert_eq!(parse(words, Order::Anywhere).err().unwrap().message, text);
        }
    }
}
