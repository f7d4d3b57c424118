//! `.dockerignore`: which files of a context are not there.

use std::collections::HashMap;

use super::glob::Pattern;

/// The rules of a `.dockerignore`. The last one that fits a path, or a folder above it, decides.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    /// Rules that mean one path: the number of the last one.
    plain: HashMap<String, usize>,
    /// The others, by number, ascending.
    patterns: Vec<(usize, Pattern)>,
    /// For each number whether it takes back what others say.
    back: Vec<bool>,
}

/// What the rules say of a path; what is below it begins with that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict(Option<usize>);

impl Ignore {
    /// Reads rules, one a line.
    ///
    /// # Errors
    /// A rule is no pattern.
    pub fn parse(text: &str) -> Result<Ignore, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty());
        Ignore::new(lines)
    }

    /// Takes rules such as those of `--exclude`.
    ///
    /// # Errors
    /// As [`Ignore::parse`].
    pub fn new<'a>(rules: impl Iterator<Item = &'a str>) -> Result<Ignore, String> {
        let mut ignore = Ignore::default();
        for rule in rules {
            let (back, rule) = match rule.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, rule),
            };
            let rule = clean(rule);
            if back && rule.is_empty() {
                return Err("illegal exclusion pattern: \"!\"".to_owned());
            }
            // It would mean everything, and means nothing.
            if rule.is_empty() || rule == "." {
                continue;
            }
            let pattern = Pattern::path(&rule, true)?;
            let number = ignore.back.len();
            ignore.back.push(back);
            match pattern.literal() {
                Some(plain) => drop(ignore.plain.insert(plain, number)),
                None => ignore.patterns.push((number, pattern)),
            }
        }
        Ok(ignore)
    }

    /// No rule ignores anything.
    pub fn is_empty(&self) -> bool {
        self.back.is_empty()
    }

    /// What the rules say of `path`, given what they say of the folder it is in.
    pub fn verdict(&self, above: Verdict, path: &str) -> Verdict {
        let mut best = above.0;
        if let Some(plain) = self.plain.get(path).copied() {
            best = best.max(Some(plain));
        }
        let later = self.patterns.iter().rev().take_while(|(number, _)| Some(*number) > best);
        let found = later.into_iter().find(|(_, pattern)| pattern.fits(path)).map(|(number, _)| *number);
        Verdict(best.max(found))
    }

    /// What they say of a path when nothing is known of the folders above it.
    pub fn verdict_of(&self, path: &str) -> Verdict {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.fold(Verdict::default(), |above, end| self.verdict(above, &path[..end]))
    }

    /// Whether a path is not there.
    pub fn hides(&self, verdict: Verdict) -> bool {
        verdict.0.is_some_and(|number| !self.back[number])
    }

    /// Whether something below a hidden folder may be there all the same.
    pub fn may_show_below(&self, verdict: Verdict) -> bool {
        self.back.iter().skip(verdict.0.map_or(0, |number| number + 1)).any(|back| *back)
    }
}

/// A path without `.`, `..`, doubled slashes, and slashes at its ends (Go's filepath.Clean).
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(rules: &str, path: &str) -> bool {
        let ignore = Ignore::parse(rules).unwrap();
        ignore.hides(ignore.verdict_of(path))
    }

    #[test]
    fn as_docker_documents_it() {
        for (rules, path, expected) in [
            ("*/temp*", "somedir/temporary.txt", true),
            ("*/temp*", "somedir/temp", true),
            ("*/temp*", "temp", false),
            ("*/*/temp*", "somedir/subdir/temporary.txt", true),
            ("*/*/temp*", "somedir/temporary.txt", false),
            ("temp?", "tempa", true),
            ("temp?", "temp", false),
            ("**/*.go", "a/b/c.go", true),
            ("**/*.go", "c.go", true),
            ("*.md\n!README.md", "a.md", true),
            ("*.md\n!README.md", "README.md", false),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-a.md", false),
            ("*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false),
            ("/foo/bar", "foo/bar", true),
            ("foo/bar/", "foo/bar/x", true),
            ("foo/bar", "foo/barx", false),
            ("./foo/../foo/bar", "foo/bar", true),
            ("# foo\n #foo", "#foo", true),
            ("# foo", "foo", false),
            ("  foo  ", "foo", true),
            (".", "foo", false),
            ("node_modules", "node_modules/a/b", true),
            ("node_modules", "sub/node_modules", false),
            ("**/node_modules", "sub/node_modules/x", true),
            ("*\n!src", "src/a/b", false),
            ("*\n!src/a", "src/a/b", false),
            ("*\n!src/a", "src/b", true),
            ("foo\n!foo/bar\nfoo/bar/baz", "foo/bar/baz", true),
            ("foo\n! foo/bar", "foo/bar/x", false),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("[ab].txt", "a.txt", true),
            ("\\!x", "!x", true),
        ] {
            assert_eq!(hidden(rules, path), expected, "{rules:?} {path}");
        }
        assert!(Ignore::parse("a\n!\n").unwrap_err().contains("illegal exclusion"));
        assert!(Ignore::parse("[").is_err());
    }

    #[test]
    fn hidden_folders_are_entered_only_where_something_may_show() {
        let ignore = Ignore::parse("a\nb\n!b/c").unwrap();
        assert!(ignore.may_show_below(ignore.verdict_of("a")));
        let ignore = Ignore::parse("!a/x\na").unwrap();
        assert!(!ignore.may_show_below(ignore.verdict_of("a")));
    }

    #[test]
    fn a_hundred_thousand_rules() {
        let rules: String = (0..100_000).map(|at| format!("folder{at}/file\nfolder{at}/*.x{at}\n")).collect();
        let ignore = Ignore::parse(&rules).unwrap();
        for at in (0..10_000).step_by(1000) {
            assert!(ignore.hides(ignore.verdict_of(&format!("folder{at}/file"))));
            assert!(!ignore.hides(ignore.verdict_of(&format!("folder{at}/other"))));
        }
    }
}
