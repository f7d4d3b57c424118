//! kubeconfig files: where the API is, and who we are there.
//!
//! They are YAML, of which they use little: mappings, lists and single values, nested by indentation. That is what is read here, or JSON;
//! whatever else a line has is an error that names it.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The largest file that is read.
const MOST: usize = 1 << 20;

/// What a file says about its current context.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kubeconfig {
    pub(crate) server: String,
    /// PEM.
    pub(crate) authority: Vec<u8>,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) token: Option<String>,
}

/// Reads a file.
pub(crate) fn load(path: &Path) -> Result<Kubeconfig> {
    let read = || -> Result<Kubeconfig> {
        let bytes = sys::fs::read_all(std::fs::File::open(path)?, MOST)?;
        let text = std::str::from_utf8(&bytes).context("it is no text")?;
        let value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text)?,
            false => yaml(text)?,
        };
        of(&value, path.parent().unwrap_or(Path::new("/")))
    };
    read().with_context(|| format!("read {}", path.display()))
}

fn of(config: &Value, folder: &Path) -> Result<Kubeconfig> {
    let named = |list: &str, name: &Value| {
        let entries = config[list].as_array();
        let found = entries.and_then(|all| all.iter().find(|entry| entry["name"] == *name)).cloned();
        found.with_context(|| format!("{list} has no {name}"))
    };
    let context = named("contexts", &config["current-context"])?;
    let cluster = named("clusters", &context["context"]["cluster"])?;
    let user = named("users", &context["context"]["user"])?;
    let (cluster, user) = (&cluster["cluster"], &user["user"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let server = text(&cluster["server"]);
    ensure!(server.starts_with("https://"), "server: {server:?} is not of the form https://HOST:PORT");
    ensure!(cluster["insecure-skip-tls-verify"] != "true", "insecure-skip-tls-verify: a node needs to know whom it obeys");
    Ok(Kubeconfig {
        server,
        authority: data(cluster, "certificate-authority", folder)?,
        certificate: data(user, "client-certificate", folder)?,
        key: data(user, "client-key", folder)?,
        token: Some(text(&user["token"])).filter(|token| !token.is_empty()),
    })
}

/// A value that is in the file, or in another one.
fn data(from: &Value, name: &str, folder: &Path) -> Result<Vec<u8>> {
    if let Some(text) = from[format!("{name}-data")].as_str() {
        return STANDARD.decode(text).with_context(|| format!("{name}-data is not base64"));
    }
    let Some(file) = from[name].as_str() else { return Ok(Vec::new()) };
    std::fs::read(folder.join(file)).with_context(|| format!("{name}: {file}"))
}

/// A line with something on it.
struct Line<'a> {
    number: usize,
    indent: usize,
    text: &'a str,
}

fn yaml(text: &str) -> Result<Value> {
    let lines = text.lines().enumerate().filter_map(|(number, line)| {
        let bare = line.trim();
        let is_empty = bare.is_empty() || bare.starts_with('#') || bare == "---";
        (!is_empty).then(|| Line { number: number + 1, indent: line.len() - line.trim_start().len(), text: bare })
    });
    let mut lines: Vec<Line<'_>> = lines.collect();
    let mut at = 0;
    let value = block(&mut lines, &mut at, 0)?;
    match lines.get(at) {
        None => Ok(value),
        Some(line) => bail!("line {}: it does not belong to what is before it", line.number),
    }
}

/// The mapping or list that begins here, at least so far to the right.
fn block(lines: &mut [Line<'_>], at: &mut usize, least: usize) -> Result<Value> {
    let Some(first) = lines.get(*at).filter(|line| line.indent >= least) else { return Ok(Value::Null) };
    ensure!(first.indent < 64, "line {}: it is nested too deeply", first.number);
    let indent = first.indent;
    if first.text.starts_with("- ") {
        let mut list = Vec::new();
        while let Some(line) = lines.get_mut(*at).filter(|line| line.indent == indent && line.text.starts_with("- ")) {
            // What follows the dash stands where it stands.
            let rest = line.text[2..].trim_start();
            line.indent += line.text.len() - rest.len();
            line.text = rest;
            let inner = line.indent;
            list.push(block(lines, at, inner)?);
        }
        return Ok(Value::Array(list));
    }
    let mut map = Map::new();
    while let Some(line) = lines.get(*at).filter(|line| line.indent == indent && !line.text.starts_with("- ")) {
        let (key, value) = line.text.split_once(':').with_context(|| format!("line {}: it is no `key: value`", line.number))?;
        let (number, value) = (line.number, value.trim());
        *at += 1;
        let value = match value {
            "" => {
                // A list may stand below its key without being indented.
                let is_list = lines.get(*at).is_some_and(|next| next.indent == indent && next.text.starts_with("- "));
                block(lines, at, if is_list { indent } else { indent + 1 })?
            }
            "{}" | "[]" | "null" => Value::Null,
            value => Value::String(scalar(value).with_context(|| format!("line {number}: {key}: only plain values are read"))?),
        };
        map.insert(key.trim().trim_matches('"').to_owned(), value);
    }
    Ok(Value::Object(map))
}

fn scalar(text: &str) -> Option<String> {
    let quoted = |mark: char| text.len() >= 2 && text.starts_with(mark) && text.ends_with(mark);
    if quoted('"') || quoted('\'') {
        let inner = &text[1..text.len() - 1];
        return (!inner.contains(['\\', '"', '\''])).then(|| inner.to_owned());
    }
    (!text.starts_with(['&', '*', '!', '|', '>', '{', '[', '%', '@', '`', '"', '\'']) && !text.contains(" #"))
        .then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# ours\napiVersion: v1\nkind: Config\nclusters:\n- name: a\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: Y2E=\n\
        users:\n  - name: \"me\"\n    user:\n      token: t\n      client-key-data: a2V5\ncontexts:\n- context:\n    cluster: a\n    user: me\n  name: c\ncurrent-context: c\npreferences: {}\n";

    #[test]
    fn a_file_is_read() {
        let expected = Kubeconfig {
            server: "https://10.0.0.1:6443".to_owned(),
            authority: b"ca".to_vec(),
            certificate: Vec::new(),
            key: b"key".to_vec(),
            token: Some("t".to_owned()),
        };
        assert_eq!(of(&yaml(FILE).unwrap(), Path::new("/")).unwrap(), expected);
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (text, message) in [
            ("a: &x 1", "line 1: a: only plain values"),
            ("a: |\n  b", "line 1: a: only plain values"),
            ("a:\n  b: 1\n c: 2", "line 3: it does not belong"),
            ("a\n", "line 1: it is no `key: value`"),
            ("a: 'it''s'", "line 1"),
        ] {
            let error = format!("{:#}", yaml(text).unwrap_err());
            assert!(error.contains(message), "{text:?}: {error}");
        }
        let error = |from: &str, to: &str| {
            let changed = FILE.replace(from, to);
            assert_ne!(changed, FILE);
            format!("{:#}", of(&yaml(&changed).unwrap(), Path::new("/")).unwrap_err())
        };
        assert!(error("current-context: c", "current-context: d").contains("contexts has no \"d\""));
        assert!(error("https://", "http://").contains("not of the form https"));
        assert!(error("Y2E=", "?").contains("certificate-authority-data is not base64"));
        assert!(error("    server:", "    insecure-skip-tls-verify: true\n    server:").contains("needs to know"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(yaml(&deep).unwrap_err().to_string().contains("too deeply"));
        assert!(yaml(&"- ".repeat(100_000)).is_err());
    }
}
