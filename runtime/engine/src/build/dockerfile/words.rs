//! Words of an instruction, and what quotes and variables in them mean. A small part of the shell's rules, in Docker's reading of them.

use super::glob::Pattern;

/// Cuts at blanks outside of quotes; quotes and escapes stay.
pub(crate) fn raw(text: &str, escape: char) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match quote {
            None if letter.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            Some(open) if letter == open => quote = None,
            _ => {}
        }
        word.push(letter);
        if letter == escape && quote != Some('\'') {
            word.extend(letters.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// One word without its quotes and escapes; nothing if it has variables or an open quote in it.
pub(crate) fn unquoted(word: &str, escape: char) -> Option<String> {
    expand(word, escape, &|_| None).ok()
}

/// A word with its variables put in, quotes and escapes taken away: always one word.
///
/// # Errors
/// A quote or a brace is not closed, a modifier is none, `${NAME:?text}` is not set.
pub(crate) fn expand(text: &str, escape: char, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    Ok(run(text, escape, variable)?.0)
}

/// Words with their variables put in: blanks outside of quotes cut, also those that come from variables.
pub(crate) fn expand_all(text: &str, escape: char, variable: &dyn Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    Ok(run(text, escape, variable)?.1)
}

/// The text of a here-document with its variables put in: quotes mean nothing there.
pub(crate) fn expand_text(text: &str, escape: char, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut reader = Reader { letters: text.chars().peekable(), escape, variable, depth: 0 };
    let mut out = String::new();
    while let Some(letter) = reader.letters.next() {
        match letter {
            '$' => out.push_str(&reader.dollar()?),
            letter if letter == escape => match reader.letters.next() {
                Some(next) if next == '$' || next == escape => out.push(next),
                next => {
                    out.push(letter);
                    out.extend(next);
                }
            },
            letter => out.push(letter),
        }
    }
    Ok(out)
}

fn run(text: &str, escape: char, variable: &dyn Fn(&str) -> Option<String>) -> Result<(String, Vec<String>), String> {
    let mut reader = Reader { letters: text.chars().peekable(), escape, variable, depth: 0 };
    let mut out = Out::default();
    reader.until(None, &mut out)?;
    Ok(out.finish())
}

/// The text as a whole, and cut into words.
#[derive(Default)]
struct Out {
    whole: String,
    words: Vec<String>,
    word: Option<String>,
}

impl Out {
    /// What was quoted or escaped is never cut.
    fn quoted(&mut self, text: &str) {
        self.whole.push_str(text);
        self.word.get_or_insert_default().push_str(text);
    }

    fn bare(&mut self, text: &str) {
        self.whole.push_str(text);
        for letter in text.chars() {
            if letter.is_whitespace() {
                self.words.extend(self.word.take());
            } else {
                self.word.get_or_insert_default().push(letter);
            }
        }
    }

    fn finish(mut self) -> (String, Vec<String>) {
        self.words.extend(self.word.take());
        (self.whole, self.words)
    }
}

/// Braces in braces.
const DEPTH: usize = 32;

struct Reader<'a> {
    letters: std::iter::Peekable<std::str::Chars<'a>>,
    escape: char,
    variable: &'a dyn Fn(&str) -> Option<String>,
    depth: usize,
}

impl Reader<'_> {
    /// Reads up to `stop`, which is taken, or to the end.
    fn until(&mut self, stop: Option<char>, out: &mut Out) -> Result<(), String> {
        while let Some(letter) = self.letters.next() {
            match letter {
                letter if Some(letter) == stop => return Ok(()),
                '\'' => {
                    let mut text = String::new();
                    loop {
                        match self.letters.next() {
                            None => return Err("unexpected end of statement while looking for matching single-quote".to_owned()),
                            Some('\'') => break,
                            Some(letter) => text.push(letter),
                        }
                    }
                    out.quoted(&text);
                }
                '"' => self.double(out)?,
                '$' => {
                    let text = self.dollar()?;
                    out.bare(&text);
                }
                letter if letter == self.escape => {
                    // At the very end it means nothing.
                    if let Some(next) = self.letters.next() {
                        out.quoted(next.encode_utf8(&mut [0; 4]));
                    }
                }
                letter => out.bare(letter.encode_utf8(&mut [0; 4])),
            }
        }
        match stop {
            Some(stop) => Err(format!("syntax error: missing '{stop}'")),
            None => Ok(()),
        }
    }

    fn double(&mut self, out: &mut Out) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.letters.next() {
                None => return Err("unexpected end of statement while looking for matching double-quote".to_owned()),
                Some('"') => break,
                Some('$') => text.push_str(&self.dollar()?),
                Some(letter) if letter == self.escape => match self.letters.next() {
                    None => return Err("unexpected end of statement while looking for matching double-quote".to_owned()),
                    Some(next) if next == '"' || next == '$' || next == self.escape => text.push(next),
                    Some(next) => text.extend([letter, next]),
                },
                Some(letter) => text.push(letter),
            }
        }
        out.quoted(&text);
        Ok(())
    }

    /// What stands for a variable, whose dollar sign was read.
    fn dollar(&mut self) -> Result<String, String> {
        if self.letters.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { (self.variable)(&name).unwrap_or_default() });
        }
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("variables are nested too deep".to_owned());
        }
        let name = self.name();
        if name.is_empty() {
            return Err(match self.letters.peek() {
                None => "syntax error: missing '}'".to_owned(),
                _ => "syntax error: bad substitution".to_owned(),
            });
        }
        let value = (self.variable)(&name);
        let text = self.modified(&name, value)?;
        self.depth -= 1;
        Ok(text)
    }

    /// The name of a variable; a single digit or special letter is one too.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.letters.peek() {
            Some(letter) if letter.is_ascii_digit() || "@*#?-$!".contains(*letter) => name.extend(self.letters.next()),
            _ => {
                while let Some(letter) = self.letters.next_if(|letter| letter.is_ascii_alphanumeric() || *letter == '_') {
                    name.push(letter);
                }
            }
        }
        name
    }

    /// What is behind the name in braces: `}`, `:-word}`, `#pattern}`, …
    fn modified(&mut self, name: &str, value: Option<String>) -> Result<String, String> {
        let Some(modifier) = self.letters.next() else { return Err("syntax error: missing '}'".to_owned()) };
        match modifier {
            '}' => Ok(value.unwrap_or_default()),
            ':' => match self.letters.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.instead(name, modifier, value.filter(|value| !value.is_empty())),
                Some(other) => Err(format!("unsupported modifier (:{other}) in substitution")),
                None => Err("syntax error: missing modifier in substitution".to_owned()),
            },
            '-' | '+' | '?' => self.instead(name, modifier, value),
            '#' | '%' => {
                let longest = self.letters.next_if_eq(&modifier).is_some();
                let pattern = Pattern::shell(&self.pattern('}')?, self.escape);
                let value = value.unwrap_or_default();
                Ok(if modifier == '#' { pattern.without_prefix(&value, longest) } else { pattern.without_suffix(&value, longest) })
            }
            '/' => {
                let all = self.letters.next_if_eq(&'/').is_some();
                let (pattern, ended) = self.pattern_or('/')?;
                let mut with = Out::default();
                if !ended {
                    self.until(Some('}'), &mut with)?;
                }
                Ok(Pattern::shell(&pattern, self.escape).replace(&value.unwrap_or_default(), &with.whole, all))
            }
            other => Err(format!("unsupported modifier ({other}) in substitution")),
        }
    }

    fn instead(&mut self, name: &str, modifier: char, value: Option<String>) -> Result<String, String> {
        let mut word = Out::default();
        self.until(Some('}'), &mut word)?;
        let word = word.whole;
        match (modifier, value) {
            ('-', value) => Ok(value.unwrap_or(word)),
            ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            (_, None) if word.is_empty() => Err(format!("{name}: parameter not allowed to be unset")),
            (_, None) => Err(format!("{name}: {word}")),
        }
    }

    /// A pattern, whose escapes stay; variables in it are put in.
    fn pattern(&mut self, stop: char) -> Result<String, String> {
        match self.pattern_until(&[stop])? {
            Some((text, _)) => Ok(text),
            None => Err(format!("syntax error: missing '{stop}'")),
        }
    }

    /// A pattern that ends with `stop`, or with the brace; true for the latter.
    fn pattern_or(&mut self, stop: char) -> Result<(String, bool), String> {
        match self.pattern_until(&[stop, '}'])? {
            Some((text, end)) => Ok((text, end == '}')),
            None => Err("syntax error: missing '}'".to_owned()),
        }
    }

    fn pattern_until(&mut self, stops: &[char]) -> Result<Option<(String, char)>, String> {
        let mut text = String::new();
        while let Some(letter) = self.letters.next() {
            match letter {
                letter if stops.contains(&letter) => return Ok(Some((text, letter))),
                '$' => {
                    let value = self.dollar()?;
                    text.push_str(&value);
                }
                letter if letter == self.escape => {
                    text.push(letter);
                    text.extend(self.letters.next());
                }
                letter => text.push(letter),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "B" => Some("two words".to_owned()),
            "E" => Some(String::new()),
            "P" => Some("/usr/local/lib/libx.so.1".to_owned()),
            "N" => Some("A".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables() {
        for (text, expected) in [
            ("$A", "one"),
            ("${A}s", "ones"),
            ("$As", ""),
            ("$A$A", "oneone"),
            ("$A-x", "one-x"),
            ("'$A'", "$A"),
            ("\"$A\"", "one"),
            ("\\$A", "$A"),
            ("\"\\$A\"", "$A"),
            ("a\\ b", "a b"),
            ("\"a\\b\"", "a\\b"),
            ("$", "$"),
            ("a$", "a$"),
            ("$1x", "x"),
            ("${X:-word}", "word"),
            ("${E:-word}", "word"),
            ("${E-word}", ""),
            ("${X-word}", "word"),
            ("${A:-word}", "one"),
            ("${A:+word}", "word"),
            ("${E:+word}", ""),
            ("${E+word}", "word"),
            ("${X:+word}", ""),
            ("${X:-${A}s}", "ones"),
            ("${X:-'a b'}", "a b"),
            ("${X:-${X:-${A}}}", "one"),
            ("${A:?no}", "one"),
            ("${P#*/}", "usr/local/lib/libx.so.1"),
            ("${P##*/}", "libx.so.1"),
            ("${P%.*}", "/usr/local/lib/libx.so"),
            ("${P%%.*}", "/usr/local/lib/libx"),
            ("${P#x}", "/usr/local/lib/libx.so.1"),
            ("${P/l/L}", "/usr/Local/lib/libx.so.1"),
            ("${P//l/L}", "/usr/LocaL/Lib/Libx.so.1"),
            ("${P//\\//-}", "-usr-local-lib-libx.so.1"),
            ("${P/l*b}", "/usr/x.so.1"),
            ("${A/$A/$B}", "two words"),
            ("${A/n?/}", "o"),
            ("${E/x/y}", ""),
        ] {
            assert_eq!(expand(text, '\\', &variable).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_expanded() {
        for (text, problem) in [
            ("'a", "single-quote"),
            ("\"a", "double-quote"),
            ("${A", "missing '}'"),
            ("${", "missing '}'"),
            ("${}", "bad substitution"),
            ("${A:x}", "unsupported modifier (:x)"),
            ("${A^}", "unsupported modifier (^)"),
            ("${A:", "missing modifier"),
            ("${X:?}", "X: parameter not allowed"),
            ("${X?must be set}", "X: must be set"),
            ("${A#", "missing '}'"),
        ] {
            let error = expand(text, '\\', &variable).unwrap_err();
            assert!(error.contains(problem), "{text}: {error}");
        }
        assert!(expand(&"${X:-".repeat(10_000), '\\', &variable).is_err());
    }

    #[test]
    fn words_are_cut() {
        let words = |text: &str| expand_all(text, '\\', &variable).unwrap();
        assert_eq!(words("a  b"), ["a", "b"]);
        assert_eq!(words("$B \"$B\" 'x y'"), ["two", "words", "two words", "x y"]);
        assert_eq!(words("a\\ b $E \"\""), ["a b", ""]);
        assert_eq!(raw("a \"b c\" d\\ e 'f\\' g", '\\'), ["a", "\"b c\"", "d\\ e", "'f\\'", "g"]);
        assert_eq!(unquoted("\"E'O'F\"", '\\').as_deref(), Some("E'O'F"));
    }

    #[test]
    fn another_escape() {
        assert_eq!(expand("C:\\x`$A", '`', &variable).unwrap(), "C:\\x$A");
    }

    #[test]
    fn in_here_documents_quotes_mean_nothing() {
        assert_eq!(expand_text("'$A' \"${B}\" \\$A \\n\n", '\\', &variable).unwrap(), "'one' \"two words\" $A \\n\n");
    }
}
