//! A template's text as a tree.

use anyhow::{Result, bail};
use serde_json::Value;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    If { condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { value: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { variables: Vec<String>, over: Pipeline, each: Vec<Node>, otherwise: Vec<Node> },
}

/// Commands of which each gets the result of the one before as its last argument.
pub(super) type Pipeline = Vec<Vec<Term>>;

/// One word of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Term {
    Literal(Value),
    /// A function's name.
    Word(String),
    /// `.A.B`, from the present value.
    Field(Vec<String>),
    /// `$name.A`; the empty name is the whole value.
    Variable(String, Vec<String>),
    /// `(…).A`.
    Group(Pipeline, Vec<String>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>> {
    let mut parser = Parser { pieces: pieces(text)?, at: 0 };
    let nodes = parser.block()?;
    match parser.pieces.get(parser.at) {
        None => Ok(nodes),
        Some(Piece::Action(words)) => bail!("template: unexpected {{{{{words}}}}}"),
        Some(Piece::Text(_)) => bail!("template: unexpected text"),
    }
}

/// The last name of each field that is printed, for the head of a table.
pub(super) fn fields(nodes: &[Node]) -> Vec<String> {
    let field = |node: &Node| match node {
        Node::Print(pipeline) => pipeline.iter().flatten().find_map(|term| match term {
            Term::Field(path) => path.last().cloned(),
            _ => None,
        }),
        _ => None,
    };
    nodes.iter().filter_map(field).collect()
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Action(String),
}

/// Cuts at `{{` and `}}`; a `-` beside them takes the blanks next to it away.
fn pieces(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some(start) = rest.find("{{") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        let Some(end) = after.find("}}") else { bail!("template: {{{{ is not closed: {:?}", &rest[start..]) };
        let action = &after[..end];
        let before = if trim { before.trim_start() } else { before };
        let left = action.strip_prefix("- ");
        pieces.push(Piece::Text(if left.is_some() { before.trim_end() } else { before }.to_owned()));
        let action = left.unwrap_or(action);
        let right = action.strip_suffix(" -");
        trim = right.is_some();
        pieces.push(Piece::Action(right.unwrap_or(action).trim().to_owned()));
        rest = &after[end + 2..];
    }
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

struct Parser {
    pieces: Vec<Piece>,
    at: usize,
}

impl Parser {
    /// Nodes up to the end, or to an `else` or `end` that is left for the caller.
    fn block(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                    continue;
                }
                Piece::Action(action) => action.clone(),
            };
            let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
            if word == "end" || word == "else" {
                break;
            }
            self.at += 1;
            match word {
                "if" | "with" | "range" => nodes.push(self.control(word, rest)?),
                _ if action.starts_with("/*") => {}
                _ => nodes.push(Node::Print(pipeline(&action)?)),
            }
        }
        Ok(nodes)
    }

    fn control(&mut self, word: &str, head: &str) -> Result<Node> {
        let (variables, head) = match head.split_once(":=") {
            Some((names, head)) if word == "range" => {
                (names.split(',').map(|name| name.trim().trim_start_matches('$').to_owned()).collect(), head)
            }
            _ => (Vec::new(), head),
        };
        let head = pipeline(head)?;
        let then = self.block()?;
        let otherwise = self.otherwise(word)?;
        Ok(match word {
            "if" => Node::If { condition: head, then, otherwise },
            "with" => Node::With { value: head, then, otherwise },
            _ => Node::Range { variables, over: head, each: then, otherwise },
        })
    }

    fn otherwise(&mut self, word: &str) -> Result<Vec<Node>> {
        let Some(Piece::Action(action)) = self.pieces.get(self.at) else { bail!("template: {{{{{word}}}}} has no {{{{end}}}}") };
        let action = action.clone();
        self.at += 1;
        let Some(rest) = action.strip_prefix("else") else { return Ok(Vec::new()) };
        if let Some(condition) = rest.trim_start().strip_prefix("if ") {
            return Ok(vec![self.control("if", condition)?]);
        }
        let nodes = self.block()?;
        match self.pieces.get(self.at) {
            Some(Piece::Action(action)) if action == "end" => self.at += 1,
            _ => bail!("template: {{{{else}}}} has no {{{{end}}}}"),
        }
        Ok(nodes)
    }
}

fn pipeline(text: &str) -> Result<Pipeline> {
    let mut letters = text.chars().peekable();
    let pipeline = commands(&mut letters, text)?;
    if letters.next().is_some() {
        bail!("template: unexpected ) in {{{{{text}}}}}");
    }
    Ok(pipeline)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn commands(letters: &mut Letters<'_>, whole: &str) -> Result<Pipeline> {
    let mut pipeline = vec![Vec::new()];
    while let Some(letter) = letters.peek().copied() {
        match letter {
            letter if letter.is_whitespace() => drop(letters.next()),
            '|' => {
                letters.next();
                pipeline.push(Vec::new());
            }
            ')' => break,
            _ => {
                let term = term(letters, whole)?;
                if let Some(command) = pipeline.last_mut() {
                    command.push(term);
                }
            }
        }
    }
    if pipeline.iter().any(Vec::is_empty) {
        bail!("template: missing value in {{{{{whole}}}}}");
    }
    Ok(pipeline)
}

fn term(letters: &mut Letters<'_>, whole: &str) -> Result<Term> {
    match letters.peek() {
        Some('(') => {
            letters.next();
            let group = commands(letters, whole)?;
            if letters.next() != Some(')') {
                bail!("template: ( is not closed in {{{{{whole}}}}}");
            }
            Ok(Term::Group(group, path(&word(letters))))
        }
        Some(quote @ ('"' | '`')) => {
            let quote = *quote;
            letters.next();
            literal(letters, quote, whole)
        }
        _ => {
            let word = word(letters);
            Ok(match word.strip_prefix('$') {
                Some(rest) => {
                    let (name, rest) = rest.split_once('.').unwrap_or((rest, ""));
                    Term::Variable(name.to_owned(), path(rest))
                }
                None if word.starts_with('.') => Term::Field(path(&word)),
                None => match serde_json::from_str::<Value>(&word) {
                    Ok(value) => Term::Literal(value),
                    Err(_) => Term::Word(word),
                },
            })
        }
    }
}

fn literal(letters: &mut Letters<'_>, quote: char, whole: &str) -> Result<Term> {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quote == '"' => match letters.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => break,
            },
            letter if letter == quote => return Ok(Term::Literal(Value::String(text))),
            letter => text.push(letter),
        }
    }
    bail!("template: {quote} is not closed in {{{{{whole}}}}}")
}

fn word(letters: &mut Letters<'_>) -> String {
    let mut word = String::new();
    while let Some(letter) = letters.next_if(|letter| !letter.is_whitespace() && !matches!(letter, '(' | ')' | '|')) {
        word.push(letter);
    }
    word
}

fn path(text: &str) -> Vec<String> {
    text.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
