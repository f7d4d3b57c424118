//! From text to instructions as they were typed: parser directives, comments, lines that go on, here-documents.

use super::Invalid;
use super::words;

/// Most bytes of a Dockerfile.
pub const LIMIT: usize = 2 << 20;

/// What the first comments say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# escape=`: what takes a letter's meaning away, and continues a line.
    pub escape: char,
    /// `# syntax=`: another front end. It is noted, and what it names is not run: this one is built in.
    pub syntax: Option<String>,
    /// `# check=`.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Directives { escape: '\\', syntax: None, check: None }
    }
}

/// An instruction as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logical {
    /// First and last line, counted from 1.
    pub(crate) lines: (usize, usize),
    /// Its lines as one, without comments.
    pub(crate) text: String,
    pub(crate) heredocs: Vec<Heredoc>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Its lines, each with its newline; without leading tabs where `<<-` asks for that.
    pub content: String,
    /// The word was not quoted: variables in it are replaced.
    pub expand: bool,
}

/// Instructions that may have here-documents.
const WITH_HEREDOC: [&str; 3] = ["add", "copy", "run"];

/// Cuts a Dockerfile into instructions.
///
/// # Errors
/// It is too long, a directive is there twice, a here-document has no end.
pub(crate) fn cut(text: &str) -> Result<(Directives, Vec<Logical>), Invalid> {
    if text.len() > LIMIT {
        return Err(Invalid::new(1, format!("a Dockerfile has at most {} MiB", LIMIT >> 20)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.split_inclusive('\n').zip(1..).peekable();
    let mut directives = Directives::default();
    let mut seen = Vec::new();
    while let Some((key, value)) = lines.peek().and_then(|(line, _)| directive(line)) {
        let (line, number) = lines.next().unwrap_or_default();
        if seen.contains(&key) {
            return Err(Invalid::new(number, format!("only one {key} parser directive can be used")).at(line.trim()));
        }
        match (key.as_str(), value.as_str()) {
            ("escape", "\\" | "`") => directives.escape = value.chars().next().unwrap_or('\\'),
            ("escape", _) => return Err(Invalid::new(number, "the escape directive is ` or \\").at(value)),
            ("syntax", _) => directives.syntax = Some(value),
            _ => directives.check = Some(value),
        }
        seen.push(key);
    }
    let mut found = Vec::new();
    while let Some((line, first)) = lines.next() {
        if is_comment(line) || line.trim().is_empty() {
            continue;
        }
        let (mut text, mut goes_on) = continued(line.trim_start(), directives.escape);
        let mut last = first;
        while goes_on {
            let Some((line, number)) = lines.next() else { break };
            last = number;
            if is_comment(line) || line.trim().is_empty() {
                continue;
            }
            let (more, on) = continued(line, directives.escape);
            text.push_str(&more);
            goes_on = on;
        }
        if text.trim().is_empty() {
            continue;
        }
        let mut heredocs = Vec::new();
        for opening in openings(&text, directives.escape) {
            let Opening { name, chomp, expand } = opening;
            let mut content = String::new();
            let ended = loop {
                let Some((line, number)) = lines.next() else { break false };
                last = number;
                let line = if chomp { line.trim_start_matches('\t') } else { line };
                if line.trim_end_matches(['\r', '\n']) == name {
                    break true;
                }
                content.push_str(line);
            };
            if !ended {
                return Err(Invalid::new(first, format!("the here-document has no end: no line is {name}")).at(name));
            }
            heredocs.push(Heredoc { name, content, expand });
        }
        found.push(Logical { lines: (first, last), text: text.trim_end().to_owned(), heredocs });
    }
    Ok((directives, found))
}

/// `# key=value`, of a known key.
fn directive(line: &str) -> Option<(String, String)> {
    let (key, value) = line.strip_prefix('#')?.split_once('=')?;
    let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
    (["escape", "syntax", "check"].contains(&key.as_str()) && !value.is_empty()).then(|| (key, value.to_owned()))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A line without its end, and whether it goes on in the next one.
fn continued(line: &str, escape: char) -> (String, bool) {
    let line = line.trim_end_matches(['\r', '\n']);
    let bare = line.trim_end_matches([' ', '\t']);
    match bare.strip_suffix(escape) {
        // A doubled one means itself.
        Some(rest) if !rest.ends_with(escape) => (rest.to_owned(), true),
        _ => (line.to_owned(), false),
    }
}

struct Opening {
    name: String,
    chomp: bool,
    expand: bool,
}

/// The here-documents that a line begins.
fn openings(text: &str, escape: char) -> Vec<Opening> {
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut verb = verb.to_ascii_lowercase();
    let mut rest = rest;
    if verb == "onbuild" {
        let (next, more) = rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest, ""));
        (verb, rest) = (next.to_ascii_lowercase(), more);
    }
    if !WITH_HEREDOC.contains(&verb.as_str()) || !rest.contains("<<") || rest.trim_start().starts_with('[') {
        return Vec::new();
    }
    words::raw(rest, escape).iter().filter_map(|word| opening(word, escape)).collect()
}

/// `<<NAME`, `<<-NAME`, `3<<"NAME"`.
fn opening(word: &str, escape: char) -> Option<Opening> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if name.is_empty() || name.contains('<') {
        return None;
    }
    let plain = words::unquoted(name, escape)?;
    (!plain.is_empty()).then(|| Opening { expand: plain == name, name: plain, chomp })
}

/// Whether a word begins a here-document.
pub(crate) fn is_heredoc(word: &str, escape: char) -> Option<String> {
    opening(word, escape).map(|opening| opening.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        cut(text).unwrap().1.into_iter().map(|logical| logical.text).collect()
    }

    #[test]
    fn lines_go_on() {
        assert_eq!(texts("RUN a \\\n  b\n"), ["RUN a   b"]);
        assert_eq!(texts("  RUN a \\  \r\n# comment\n\n  # another\n  b\r\nRUN c"), ["RUN a   b", "RUN c"]);
        assert_eq!(texts("RUN a \\\\\nRUN b"), ["RUN a \\\\", "RUN b"]);
        assert_eq!(texts("# escape=`\nRUN a `\n b \\\n"), ["RUN a  b \\"]);
        assert_eq!(texts("RUN a \\"), ["RUN a"]);
        assert_eq!(texts("\\\nRUN a"), ["RUN a"]);
        assert_eq!(cut("\n\nRUN a \\\n b\n").unwrap().1[0].lines, (3, 4));
    }

    #[test]
    fn directives_are_first() {
        let directives = |text: &str| cut(text).unwrap().0;
        assert_eq!(directives("# Escape = `\n#syntax=docker/dockerfile:1\nFROM a").escape, '`');
        assert_eq!(directives("#syntax=docker/dockerfile:1\nFROM a").syntax.as_deref(), Some("docker/dockerfile:1"));
        assert_eq!(directives("# check=skip=all;error=true\n").check.as_deref(), Some("skip=all;error=true"));
        for not_first in ["FROM a\n# escape=`\n", "# comment\n# escape=`\n", "\n# escape=`\n", "# other=x\n# escape=`"] {
            assert_eq!(directives(not_first).escape, '\\', "{not_first}");
        }
        assert!(cut("# escape=`\n# escape=\\\n").unwrap_err().problem.contains("only one escape"));
        assert!(cut("# escape=x\n").is_err());
        assert_eq!(directives("\u{feff}# escape=`\n").escape, '`');
    }

    #[test]
    fn here_documents() {
        let one = |text: &str| cut(text).unwrap().1.remove(0);
        let found = one("RUN <<EOF\necho a\n  # no comment\nEOF\n");
        assert_eq!((found.text.as_str(), found.lines), ("RUN <<EOF", (1, 4)));
        assert_eq!(found.heredocs, [Heredoc { name: "EOF".into(), content: "echo a\n  # no comment\n".into(), expand: true }]);
        let found = one("COPY <<-'A' <<\"B\" /x\n\t\tone $X\n\tA\ntwo\nB\n");
        assert_eq!((found.heredocs[0].content.as_str(), found.heredocs[0].expand), ("one $X\n", false));
        assert_eq!((found.heredocs[1].name.as_str(), found.heredocs[1].content.as_str()), ("B", "two\n"));
        assert!(one("RUN echo '<<EOF'").heredocs.is_empty());
        assert!(one("RUN [\"a\", \"<<EOF\"]").heredocs.is_empty());
        assert!(one("ENV A=<<EOF").heredocs.is_empty());
        assert_eq!(one("RUN cat 3<<EOF <<<word\nx\nEOF\n").heredocs.len(), 1);
        assert!(cut("RUN <<EOF\nx\n").unwrap_err().problem.contains("no line is EOF"));
    }

    #[test]
    fn hostile_text() {
        assert!(cut(&"RUN true\n".repeat(1 << 20)).unwrap_err().problem.contains("at most"));
        assert_eq!(cut(&"RUN a \\\n".repeat(100_000)).unwrap().1.len(), 1);
        assert_eq!(cut(&"\0\n\u{1}".repeat(100)).unwrap().1.len(), 101);
    }
}
