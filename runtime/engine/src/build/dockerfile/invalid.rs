//! What is wrong with a Dockerfile, and where.

use std::fmt::Write;

/// A mistake in a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Invalid {
    /// The instruction's first line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// The words that it is about, as they are written there.
    pub about: Option<String>,
}

impl Invalid {
    pub(crate) fn new(line: usize, problem: impl Into<String>) -> Self {
        Invalid { line, problem: problem.into(), about: None }
    }

    /// Points at some words.
    #[must_use]
    pub(crate) fn at(self, words: impl Into<String>) -> Self {
        Invalid { about: Some(words.into()), ..self }
    }
}

/// Lines `first` to `last` of `text`, counted from 1, with their numbers, and marks below `about`; without it below the whole first line.
pub fn excerpt(text: &str, (first, last): (usize, usize), about: Option<&str>) -> String {
    /// Lines that are shown of a long instruction.
    const MOST: usize = 12;
    /// Letters that are shown of a long line.
    const WIDTH: usize = 160;
    let width = last.to_string().len();
    let mut out = String::new();
    let mut marked = false;
    for (number, line) in
        text.lines().enumerate().map(|(at, line)| (at + 1, line)).skip(first - 1).take(last + 1 - first).take(MOST)
    {
        let line: String = line.trim_end_matches('\r').chars().take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let _ = writeln!(out, "{number:>width$} | {line}");
        let found = match about {
            Some(about) if !about.is_empty() => line.find(about).map(|at| (at, about.chars().count())),
            _ => Some((line.len() - line.trim_start().len(), line.trim().chars().count())),
        };
        if let (false, Some((at, length))) = (marked, found) {
            let before = line[..at].chars().count();
            let _ = writeln!(out, "{:>width$} | {}{}", "", " ".repeat(before), "^".repeat(length.max(1)));
            marked = true;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_shows_the_words() {
        let text = "FROM a\nCOPY --fro=b \\\n  c d\n";
        assert_eq!(excerpt(text, (2, 3), Some("--fro")), "2 | COPY --fro=b \\\n  |      ^^^^^\n3 |   c d\n");
        assert_eq!(excerpt(text, (1, 1), None), "1 | FROM a\n  | ^^^^^^\n");
        assert_eq!(excerpt(text, (9, 9), None), "");
    }
}
