//! Patterns for names and paths, matched in time that grows with their length times the text's: no pattern is slow.

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// This very letter.
    Letter(char),
    /// One letter; not a slash in a path.
    Any,
    /// Any number of letters; not slashes in a path.
    Star,
    /// Any number of letters, slashes among them.
    StarStar,
    /// Any number of whole folders, each with its slash: `**/`.
    Folders,
    /// `[a-z]`, or none of them.
    Class(bool, Vec<(char, char)>),
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    /// The letters that it begins and ends with.
    head: String,
    tail: String,
    /// Stars and question marks stop at slashes.
    path: bool,
}

impl Pattern {
    /// The pattern of `${name#pattern}`: `*`, `?` and escapes.
    pub(crate) fn shell(text: &str, escape: char) -> Pattern {
        let mut letters = text.chars();
        let mut parts = Vec::new();
        while let Some(letter) = letters.next() {
            parts.push(match letter {
                '*' => Part::Star,
                '?' => Part::Any,
                letter if letter == escape => Part::Letter(letters.next().unwrap_or(escape)),
                letter => Part::Letter(letter),
            });
        }
        Pattern::of(parts, false)
    }

    /// The pattern of a path: `*`, `?`, `[a-z]`, `\` as Go's filepath.Match has them, and with `deep` also `**`.
    ///
    /// # Errors
    /// A class or an escape has no end.
    pub(crate) fn path(text: &str, deep: bool) -> Result<Pattern, String> {
        let wrong = |what: &str| format!("pattern {text:?}: {what}");
        let letters: Vec<char> = text.chars().collect();
        let mut parts = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            let next = letters.get(at + 1);
            parts.push(match letters[at] {
                '*' if deep && next == Some(&'*') => {
                    at += 1;
                    while letters.get(at + 1) == Some(&'*') {
                        at += 1;
                    }
                    if letters.get(at + 1) == Some(&'/') && letters.len() > at + 2 {
                        at += 1;
                        Part::Folders
                    } else {
                        Part::StarStar
                    }
                }
                '*' => Part::Star,
                '?' => Part::Any,
                '\\' => {
                    at += 1;
                    Part::Letter(*letters.get(at).ok_or_else(|| wrong("an escape at its end"))?)
                }
                '[' => {
                    let (class, end) = class(&letters, at + 1).ok_or_else(|| wrong("a class that has no end, or nothing in it"))?;
                    at = end;
                    class
                }
                letter => Part::Letter(letter),
            });
            at += 1;
        }
        Ok(Pattern::of(parts, true))
    }

    fn of(parts: Vec<Part>, path: bool) -> Pattern {
        let letter = |part: &Part| if let Part::Letter(letter) = part { Some(*letter) } else { None };
        let head = parts.iter().map_while(letter).collect();
        let tail: Vec<char> = parts.iter().rev().map_while(letter).collect();
        Pattern { parts, head, tail: tail.into_iter().rev().collect(), path }
    }

    /// The text that it means, if it means only one.
    pub(crate) fn literal(&self) -> Option<String> {
        let letter = |part: &Part| if let Part::Letter(letter) = part { Some(*letter) } else { None };
        self.parts.iter().map(letter).collect()
    }

    /// Whether it fits all of `text`.
    pub(crate) fn fits(&self, text: &str) -> bool {
        // Which costs little, and rules most texts out.
        let ends = text.starts_with(&self.head) && text.ends_with(&self.tail);
        ends && self.ends(text).next_back().is_some_and(|end| end == text.len())
    }

    /// The lengths of all beginnings of `text` that it fits, ascending.
    fn ends(&self, text: &str) -> impl DoubleEndedIterator<Item = usize> {
        let last = self.parts.len();
        let mut states = vec![false; last + 1];
        states[0] = true;
        self.skip(&mut states);
        let mut ends = if states[last] { vec![0] } else { Vec::new() };
        for (at, letter) in text.char_indices() {
            states = self.step(&states, letter);
            if states[last] {
                ends.push(at + letter.len_utf8());
            }
            if !states.contains(&true) {
                break;
            }
        }
        ends.into_iter()
    }

    /// Where one more letter leads.
    fn step(&self, states: &[bool], letter: char) -> Vec<bool> {
        let mut next = vec![false; states.len()];
        // Whole folders are left with a slash only.
        let mut inside = Vec::new();
        let within = !(self.path && letter == '/');
        for (state, part) in self.parts.iter().enumerate().filter(|(state, _)| states[*state]) {
            match part {
                Part::Letter(own) => next[state + 1] |= *own == letter,
                Part::Any => next[state + 1] |= within,
                Part::Star => next[state] |= within,
                Part::StarStar => next[state] = true,
                Part::Folders => {
                    inside.push(state);
                    next[state + 1] |= letter == '/';
                }
                Part::Class(not, ranges) => {
                    let among = ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter));
                    next[state + 1] |= among != *not && within;
                }
            }
        }
        self.skip(&mut next);
        inside.into_iter().for_each(|state| next[state] = true);
        next
    }

    /// Parts that may stand for nothing.
    fn skip(&self, states: &mut [bool]) {
        for (state, part) in self.parts.iter().enumerate() {
            states[state + 1] |= states[state] && matches!(part, Part::Star | Part::StarStar | Part::Folders);
        }
    }

    /// `text` without the shortest or longest beginning that it fits.
    pub(crate) fn without_prefix(&self, text: &str, longest: bool) -> String {
        let mut ends = self.ends(text);
        let end = if longest { ends.next_back() } else { ends.next() };
        text[end.unwrap_or_default()..].to_owned()
    }

    /// `text` without the shortest or longest end that it fits.
    pub(crate) fn without_suffix(&self, text: &str, longest: bool) -> String {
        let mirrored = Pattern::of(self.parts.iter().rev().cloned().collect(), self.path);
        let reversed: String = text.chars().rev().collect();
        mirrored.without_prefix(&reversed, longest).chars().rev().collect()
    }

    /// `text` with the first or all of what it fits replaced, each as long as possible.
    pub(crate) fn replace(&self, text: &str, with: &str, all: bool) -> String {
        let mut out = String::new();
        let mut at = 0;
        while at < text.len() {
            match self.ends(&text[at..]).next_back().filter(|length| *length > 0) {
                Some(length) => {
                    out.push_str(with);
                    at += length;
                    if !all {
                        break;
                    }
                }
                None => {
                    let letter = text[at..].chars().next().unwrap_or_default();
                    out.push(letter);
                    at += letter.len_utf8();
                }
            }
        }
        out + &text[at..]
    }
}

/// What is between brackets, and the place of the closing one.
fn class(letters: &[char], mut at: usize) -> Option<(Part, usize)> {
    let not = letters.get(at) == Some(&'^');
    at += usize::from(not);
    let mut ranges = Vec::new();
    let one = |at: &mut usize| {
        if letters.get(*at) == Some(&'\\') {
            *at += 1;
        }
        let letter = *letters.get(*at)?;
        *at += 1;
        Some(letter)
    };
    loop {
        if letters.get(at)? == &']' && !ranges.is_empty() {
            return Some((Part::Class(not, ranges), at));
        }
        if matches!(letters.get(at), Some(']' | '-')) {
            return None;
        }
        let low = one(&mut at)?;
        let high = if letters.get(at) == Some(&'-') {
            at += 1;
            one(&mut at)?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (pattern, yes, no) in [
            ("a*.txt", &["a.txt", "ab.txt"][..], &["a/b.txt", "b.txt", "a.txtx"][..]),
            ("a?c", &["abc"], &["ac", "a/c"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x", "/x"]),
            ("[^a-c]x", &["dx"], &["ax"]),
            ("\\*", &["*"], &["a"]),
            ("**", &["a", "a/b", ""], &[]),
            ("**/x", &["x", "a/x", "a/b/x"], &["ax", "a/bx", "x/a"]),
            ("a**/x", &["ax", "ab/x", "a/b/x"], &["abx"]),
            ("a/**", &["a/b", "a/b/c"], &["a", "b/a"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb"]),
            ("a**b", &["ab", "a/x/b", "axb"], &["ba"]),
            ("**/*.go", &["x.go", "a/b/x.go"], &["x.goo"]),
            ("a/*/c", &["a/b/c"], &["a/c", "a/b/b/c"]),
        ] {
            let compiled = Pattern::path(pattern, true).unwrap();
            yes.iter().for_each(|path| assert!(compiled.fits(path), "{pattern} {path}"));
            no.iter().for_each(|path| assert!(!compiled.fits(path), "{pattern} {path}"));
        }
        for wrong in ["[", "[a", "[]", "\\", "[a-", "[-a]"] {
            assert!(Pattern::path(wrong, true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = Pattern::path(&"*a".repeat(200), true).unwrap();
        assert!(!pattern.fits(&"a".repeat(4000).replace("aaaa", "aaab")));
        assert!(Pattern::path(&"**/".repeat(200), true).unwrap().fits(&"a/".repeat(400)));
    }
}
