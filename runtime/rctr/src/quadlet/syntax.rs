//! systemd's unit files (systemd.syntax(7)): sections of keys, which may be there several times.

use std::fmt;

/// A unit file. Sections of one name are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unit {
    sections: Vec<Section>,
}

/// A section, with its keys as they come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    name: String,
    entries: Vec<(String, String)>,
}

impl Unit {
    /// Reads one.
    ///
    /// # Errors
    /// A line makes no sense: its number, and why.
    pub(crate) fn parse(text: &str) -> Result<Unit, String> {
        let mut unit = Unit::default();
        let mut section = None;
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let line = line.trim();
            if is_comment(line) {
                continue;
            }
            let wrong = |why: &str| format!("line {}: {why}", number + 1);
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').filter(|name| !name.is_empty() && !name.contains(['[', ']']));
                let name = name.ok_or_else(|| wrong("a section is written [NAME]"))?;
                unit.section(name);
                section = Some(name);
                continue;
            }
            let (key, first) = line.split_once('=').ok_or_else(|| wrong("neither KEY=VALUE nor [SECTION]"))?;
            let key = key.trim_end();
            if key.is_empty() || key.contains(char::is_whitespace) {
                return Err(wrong("a key is one word before ="));
            }
            let section = section.ok_or_else(|| wrong(&format!("{key}= is in no section")))?;
            unit.add(section, key, joined(first, &mut lines).trim());
        }
        Ok(unit)
    }

    /// Adds all of `other` after what is here, as a drop-in does.
    pub(crate) fn merge(&mut self, other: Unit) {
        for section in other.sections {
            self.section(&section.name).extend(section.entries);
        }
    }

    /// Adds a key at the end of its section.
    pub(crate) fn add(&mut self, section: &str, key: &str, value: &str) {
        self.section(section).push((key.to_owned(), value.to_owned()));
    }

    /// Adds keys before all others of a section, so that what is there comes later and wins.
    pub(crate) fn add_first(&mut self, section: &str, entries: &[(&str, &str)]) {
        let entries = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        self.section(section).splice(0..0, entries);
    }

    /// The same for a key that is not there yet.
    pub(crate) fn add_default(&mut self, section: &str, key: &str, value: &str) {
        if self.last(section, key).is_none() {
            self.add(section, key, value);
        }
    }

    /// Another name for a section: systemd passes over those that begin with `X-`.
    pub(crate) fn rename(&mut self, section: &str, name: &str) {
        for section in self.sections.iter_mut().filter(|own| own.name == section) {
            name.clone_into(&mut section.name);
        }
    }

    pub(crate) fn has(&self, section: &str) -> bool {
        self.sections.iter().any(|own| own.name == section)
    }

    /// The keys of a section.
    pub(crate) fn entries(&self, section: &str) -> impl Iterator<Item = (&str, &str)> {
        let sections = self.sections.iter().filter(move |own| own.name == section);
        sections.flat_map(|section| &section.entries).map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// All values of a key. An empty one takes those before it back.
    pub(crate) fn all(&self, section: &str, key: &str) -> Vec<&str> {
        let mut values = Vec::new();
        for (_, value) in self.entries(section).filter(|(own, _)| *own == key) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value);
            }
        }
        values
    }

    /// The value of a key that has one.
    pub(crate) fn last(&self, section: &str, key: &str) -> Option<&str> {
        self.all(section, key).pop()
    }

    /// Changes each value of these keys.
    ///
    /// # Errors
    /// The first of `change`.
    pub(crate) fn change(
        &mut self,
        section: &str,
        keys: &[&str],
        change: impl Fn(&str) -> Result<String, String>,
    ) -> Result<(), String> {
        let entries = self.sections.iter_mut().filter(|own| own.name == section).flat_map(|section| &mut section.entries);
        for (key, value) in entries.filter(|(key, _)| keys.contains(&key.as_str())) {
            *value = change(value).map_err(|error| format!("{key}={value}: {error}"))?;
        }
        Ok(())
    }

    fn section(&mut self, name: &str) -> &mut Vec<(String, String)> {
        let at = self.sections.iter().position(|section| section.name == name).unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), entries: Vec::new() });
            self.sections.len() - 1
        });
        &mut self.sections[at].entries
    }
}

/// A value with the lines that continue it: each backslash at an end of line is a blank, and comments between are none of it.
fn joined<'a>(first: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut value = String::new();
    let mut part = first;
    while let Some(begun) = part.strip_suffix('\\') {
        value.push_str(begun);
        value.push(' ');
        let Some((_, next)) = lines.by_ref().find(|(_, line)| line.trim().is_empty() || !is_comment(line.trim())) else {
            return value;
        };
        part = next.trim_end();
    }
    value + part
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with(['#', ';'])
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "\n[{}]", section.name)?;
            section.entries.iter().try_for_each(|(key, value)| writeln!(f, "{key}={value}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_may_be_repeated_continued_and_taken_back() {
        let text = "# one\n[A]\nx = 1\nx=2 \\\n# not of it\n  3\\\n; nor this\n4\ny=\n[B]\nx=9\n[A]\nx=\nx=5\n z= \"a b\" \n";
        let unit = Unit::parse(text).unwrap();
        let entries: Vec<_> = unit.entries("A").collect();
        assert_eq!(entries, [("x", "1"), ("x", "2    3 4"), ("y", ""), ("x", ""), ("x", "5"), ("z", "\"a b\"")]);
        assert_eq!((unit.all("A", "x"), unit.last("A", "y"), unit.last("B", "x")), (vec!["5"], None, Some("9")));
        assert_eq!(Unit::parse(&unit.to_string()).unwrap(), unit);
        assert_eq!(Unit::parse("[A]\nx=1\\").unwrap().last("A", "x"), Some("1"));
    }

    #[test]
    fn lines_that_make_no_sense_are_named() {
        for (text, line, why) in [
            ("x=1", 1, "x= is in no section"),
            ("[A]\nx", 2, "neither KEY=VALUE nor [SECTION]"),
            ("\n[A", 2, "a section is written [NAME]"),
            ("[A]\n=1", 2, "a key is one word before ="),
            ("[]", 1, "a section is written [NAME]"),
        ] {
            assert_eq!(Unit::parse(text).unwrap_err(), format!("line {line}: {why}"));
        }
    }

    #[test]
    fn drop_ins_come_after_and_defaults_before() {
        let mut unit = Unit::parse("[A]\nx=1\n").unwrap();
        unit.merge(Unit::parse("[A]\nx=\nx=2\n[B]\ny=1\n").unwrap());
        unit.add_first("A", &[("x", "0")]);
        unit.add_default("A", "x", "3");
        unit.add_default("A", "z", "4");
        unit.rename("B", "X-B");
        assert_eq!(unit.to_string(), "\n[A]\nx=0\nx=1\nx=\nx=2\nz=4\n\n[X-B]\ny=1\n");
        assert!(unit.change("A", &["x"], |value| Ok(format!("{value}!"))).is_ok() && unit.all("A", "x") == ["0!", "1!", "!", "2!"]);
    }
}
