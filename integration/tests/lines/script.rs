//! Command lines and what they should answer, read from a text.
//!
//! ```text
//! $ ps -a --format {{.Names}}     a command line, split into words as a shell would
//! = 1                             its exit code, where that is not 0
//! = error                         the engine's own failure: 1 with docker, 125 with the others
//! = podman 255                    this engine's exit code, where it is another
//! > one*                          a line of standard output: * is any text, % are hexadecimal digits, a lone ... any further lines
//! ! no such                       somewhere on standard error, whatever the case of letters
//! - podman: why                   not asked of this engine, for this reason
//! ```
//!
//! Without a `>` line the output is not looked at, unless it is for `> nothing`: then there must be none.

/// What a command line ends with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Code {
    Is(i32),
    Error,
}

impl Default for Code {
    fn default() -> Self {
        Code::Is(0)
    }
}

/// One command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it is.
    pub(super) number: usize,
    pub(super) words: Vec<String>,
    pub(super) code: Code,
    /// Of engines that have another.
    pub(super) codes: Vec<(String, i32)>,
    pub(super) stdout: Option<Vec<String>>,
    pub(super) stderr: Vec<String>,
    /// Engines that are not asked, and why.
    pub(super) not: Vec<(String, String)>,
}

impl Line {
    /// The exit code that `engine` should give.
    pub(super) fn code(&self, engine: &str) -> i32 {
        let all = match (&self.code, engine) {
            (Code::Is(code), _) => *code,
            (Code::Error, "docker") => 1,
            (Code::Error, _) => 125,
        };
        self.codes.iter().find(|(own, _)| own == engine).map_or(all, |(_, code)| *code)
    }
}

/// Reads a script.
///
/// # Panics
/// It is wrong.
pub(super) fn parse(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let Some((kind, rest)) = line.split_at_checked(1).filter(|(kind, _)| *kind != "#") else { continue };
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        if kind == "$" {
            lines.push(Line { number, words: words(rest), ..Line::default() });
            continue;
        }
        let last = lines.last_mut().unwrap_or_else(|| panic!("line {number}: there is no command line before it"));
        match kind {
            "=" => {
                let (engine, code) = rest.split_once(' ').unwrap_or(("", rest));
                let number = || code.parse().unwrap_or_else(|_| panic!("line {number}: {code:?} is no exit code"));
                match (engine, code) {
                    ("", "error") => last.code = Code::Error,
                    ("", _) => last.code = Code::Is(number()),
                    _ => last.codes.push((engine.to_owned(), number())),
                }
            }
            ">" if rest == "nothing" => last.stdout = Some(Vec::new()),
            ">" => last.stdout.get_or_insert_default().push(rest.to_owned()),
            "!" => last.stderr.push(rest.to_owned()),
            "-" => {
                let (engine, why) = rest.split_once(": ").unwrap_or_else(|| panic!("line {number}: say why not"));
                last.not.push((engine.to_owned(), why.to_owned()));
            }
            _ => panic!("line {number}: {line:?}"),
        }
    }
    lines
}

/// Words as a shell splits them: quotes of both kinds keep blanks.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    assert!(quote.is_none(), "{text}: a quote is not closed");
    words.extend(word);
    words
}

/// Whether standard output is as the patterns say.
pub(super) fn fits(patterns: &[String], stdout: &str) -> bool {
    let lines: Vec<&str> = stdout.lines().map(|line| line.trim_end()).collect();
    let (patterns, open) = match patterns.split_last() {
        Some((last, before)) if last == "..." => (before, true),
        _ => (patterns, false),
    };
    let enough = if open { lines.len() >= patterns.len() } else { lines.len() == patterns.len() };
    enough && patterns.iter().zip(lines).all(|(pattern, line)| one(pattern.as_bytes(), line.as_bytes()))
}

fn one(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| one(rest, &text[at..])),
        [b'%', rest @ ..] => {
            let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            digits > 0 && one(rest, &text[digits..])
        }
        [byte, rest @ ..] => text.first() == Some(byte) && one(rest, &text[1..]),
    }
}

/// The reader itself.
pub(super) fn check() {
    let read =
        parse("# a\n$ run --rm 'a b' \"c\"d ''\n= 3\n= b 4\n> x*\n! no\n- podman: it differs\n$ ps\n> nothing\n$ x\n= error\n");
    assert_eq!(read[0].words, ["run", "--rm", "a b", "cd", ""]);
    assert_eq!((read[0].number, read[0].stderr.as_slice()), (2, &["no".to_owned()][..]));
    assert_eq!((read[0].code("a"), read[0].code("b")), (3, 4));
    assert_eq!((read[2].code("docker"), read[2].code("rctr")), (1, 125));
    assert_eq!(read[0].not, [("podman".to_owned(), "it differs".to_owned())]);
    assert_eq!((&read[1].stdout, &read[2].stdout), (&Some(Vec::new()), &None));
    let fits = |patterns: &[&str], text| fits(&patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>(), text);
    assert!(fits(&["a*c", "%"], "abc\n12af\n") && fits(&["a", "..."], "a\nb\nc") && fits(&["a", "..."], "a"));
    assert!(!fits(&["a*c"], "abd") && !fits(&["%"], "xyz") && !fits(&["a"], "a\nb") && !fits(&[], "a") && !fits(&["%"], ""));
}
