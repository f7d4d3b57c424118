//! A template's tree over a JSON value.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::parse::{Node, Pipeline, Term};
use super::plain;

pub(super) fn run(nodes: &[Node], value: &Value) -> Result<String> {
    let mut output = String::new();
    let scope = Scope { root: value, variables: BTreeMap::new() };
    scope.nodes(nodes, value, &mut output)?;
    Ok(output)
}

#[derive(Clone)]
struct Scope<'a> {
    root: &'a Value,
    variables: BTreeMap<String, Value>,
}

impl Scope<'_> {
    fn nodes(&self, nodes: &[Node], dot: &Value, output: &mut String) -> Result<()> {
        nodes.iter().try_for_each(|node| self.node(node, dot, output))
    }

    fn node(&self, node: &Node, dot: &Value, output: &mut String) -> Result<()> {
        match node {
            Node::Text(text) => output.push_str(text),
            Node::Print(pipeline) => output.push_str(&plain(&self.pipeline(pipeline, dot)?)),
            Node::If { condition, then, otherwise } => {
                let chosen = if truth(&self.pipeline(condition, dot)?) { then } else { otherwise };
                self.nodes(chosen, dot, output)?;
            }
            Node::With { value, then, otherwise } => {
                let value = self.pipeline(value, dot)?;
                if truth(&value) { self.nodes(then, &value, output)? } else { self.nodes(otherwise, dot, output)? }
            }
            Node::Range { variables, over, each, otherwise } => {
                let entries = entries(self.pipeline(over, dot)?)?;
                if entries.is_empty() {
                    self.nodes(otherwise, dot, output)?;
                }
                for (key, value) in entries {
                    let mut scope = self.clone();
                    let named = match &variables[..] {
                        [one] => vec![(one, value.clone())],
                        [first, second] => vec![(first, key), (second, value.clone())],
                        _ => Vec::new(),
                    };
                    scope.variables.extend(named.into_iter().map(|(name, value)| (name.clone(), value)));
                    scope.nodes(each, &value, output)?;
                }
            }
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let mut result = None;
        for command in pipeline {
            result = Some(self.command(command, result, dot)?);
        }
        result.context("template: nothing to print")
    }

    fn command(&self, command: &[Term], before: Option<Value>, dot: &Value) -> Result<Value> {
        let (Some(first), rest) = (command.first(), &command[1.min(command.len())..]) else { bail!("template: nothing to print") };
        match first {
            Term::Word(name) => {
                let mut arguments = rest.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>>>()?;
                arguments.extend(before);
                call(name, &arguments)
            }
            Term::Field(path) if path.len() == 1 && path[0] == "Label" && rest.len() == 1 => {
                Ok(label(&follow(dot, &["Labels".to_owned()])?, &plain(&self.term(&rest[0], dot)?)))
            }
            term if rest.is_empty() => self.term(term, dot),
            _ => bail!("template: a value takes no arguments"),
        }
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value> {
        match term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Word(name) => call(name, &[]),
            Term::Field(path) => follow(dot, path),
            Term::Variable(name, path) if name.is_empty() => follow(self.root, path),
            Term::Variable(name, path) => {
                follow(self.variables.get(name).with_context(|| format!("template: undefined variable ${name}"))?, path)
            }
            Term::Group(pipeline, path) => follow(&self.pipeline(pipeline, dot)?, path),
        }
    }
}

fn follow(value: &Value, path: &[String]) -> Result<Value> {
    let mut value = value;
    for name in path {
        value = match value {
            Value::Object(map) => map.get(name).with_context(|| format!("template: there is no field {name:?}"))?,
            _ => bail!("template: there is no field {name:?} in {}", plain(value)),
        };
    }
    Ok(value.clone())
}

/// Docker's `.Label "key"`: the one label out of the row's `Labels`, which is text.
fn label(labels: &Value, key: &str) -> Value {
    let all = plain(labels);
    let mut pairs = all.split(',').filter_map(|pair| pair.split_once('='));
    Value::String(pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).unwrap_or_default())
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn entries(value: Value) -> Result<Vec<(Value, Value)>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => Ok(items.into_iter().enumerate().map(|(at, item)| (Value::from(at), item)).collect()),
        Value::Object(map) => Ok(map.into_iter().map(|(key, value)| (Value::String(key), value)).collect()),
        other => bail!("template: range over {}", plain(&other)),
    }
}

fn call(name: &str, arguments: &[Value]) -> Result<Value> {
    let text = |value: &Value| Value::String(plain(value));
    Ok(match (name, arguments) {
        ("json", [value]) => Value::String(value.to_string()),
        ("upper", [value]) => Value::String(plain(value).to_uppercase()),
        ("lower", [value]) => Value::String(plain(value).to_lowercase()),
        ("len", [Value::Array(items)]) => items.len().into(),
        ("len", [Value::Object(map)]) => map.len().into(),
        ("len", [Value::String(text)]) => text.len().into(),
        ("len", [Value::Null]) => 0.into(),
        ("join", [Value::Array(items), Value::String(between)]) => {
            Value::String(items.iter().map(plain).collect::<Vec<_>>().join(between))
        }
        ("split", [Value::String(text), Value::String(at)]) => text.split(at.as_str()).map(Value::from).collect(),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key))?,
        ("not", [value]) => Value::Bool(!truth(value)),
        ("and", [first, rest @ ..]) => rest.iter().fold(first, |all, next| if truth(all) { next } else { all }).clone(),
        ("or", [first, rest @ ..]) => rest.iter().fold(first, |all, next| if truth(all) { all } else { next }).clone(),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => Value::Bool(rest.iter().any(|other| plain(other) == plain(first))),
        ("ne", [first, second]) => Value::Bool(plain(first) != plain(second)),
        ("print", values) => Value::String(values.iter().map(plain).collect()),
        ("println", values) => Value::String(values.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [Value::String(format), values @ ..]) => text(&Value::String(printf(format, values))),
        ("json" | "upper" | "lower" | "len" | "join" | "split" | "index" | "not" | "and" | "or" | "eq" | "ne" | "printf", _) => {
            bail!("template: wrong arguments for {name}")
        }
        _ => bail!("template: function {name:?} is not defined"),
    })
}

fn index(value: &Value, key: &Value) -> Result<Value> {
    Ok(match (value, key) {
        (Value::Object(map), Value::String(key)) => map.get(key).cloned().unwrap_or(Value::String(String::new())),
        (Value::Array(items), Value::Number(at)) => {
            let item = at.as_u64().and_then(|at| items.get(usize::try_from(at).ok()?));
            item.with_context(|| format!("template: index {at} is out of range"))?.clone()
        }
        (value, key) => bail!("template: cannot index {} with {}", plain(value), plain(key)),
    })
}

/// `%s`, `%d`, `%v`, `%q` and `%%`; widths and flags are accepted and mean what they do in Go for strings.
fn printf(format: &str, values: &[Value]) -> String {
    let mut output = String::new();
    let mut values = values.iter();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            output.push(letter);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = letters.next_if(|letter| letter.is_ascii_digit() || *letter == '-') {
            width.push(digit);
        }
        let value = match letters.next() {
            Some('%') | None => "%".to_owned(),
            Some('q') => values.next().map(|value| format!("{:?}", plain(value))).unwrap_or_default(),
            Some(_) => values.next().map(plain).unwrap_or_default(),
        };
        let columns: usize = width.trim_start_matches('-').parse().unwrap_or(0);
        output.push_str(&if width.starts_with('-') { format!("{value:<columns$}") } else { format!("{value:>columns$}") });
    }
    output
}
