//! Single instructions of a Dockerfile that change how an image runs: `import --change` and the like.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// An instruction such as `ENV A=b` or `CMD ["/bin/x"]`, as Docker's `import` and `commit` take it.
///
/// `$NAME` and `${NAME}` in all but `CMD`, `ENTRYPOINT` and `ONBUILD` stand for variables that earlier changes set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    verb: Verb,
    text: String,
    /// As it was given.
    line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Label,
    OnBuild,
    StopSignal,
    User,
    Volume,
    WorkDir,
}

/// Text that is no such instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid change {text:?}: {problem}")]
pub struct InvalidChange {
    text: String,
    problem: &'static str,
}

impl FromStr for Change {
    type Err = InvalidChange;

    fn from_str(line: &str) -> Result<Self, InvalidChange> {
        let invalid = |problem| InvalidChange { text: line.chars().take(200).collect(), problem };
        let (verb, text) = line.trim().split_once(char::is_whitespace).ok_or_else(|| invalid("it has no value"))?;
        let verb = match verb.to_ascii_uppercase().as_str() {
            "CMD" => Verb::Cmd,
            "ENTRYPOINT" => Verb::Entrypoint,
            "ENV" => Verb::Env,
            "EXPOSE" => Verb::Expose,
            "LABEL" => Verb::Label,
            "ONBUILD" => Verb::OnBuild,
            "STOPSIGNAL" => Verb::StopSignal,
            "USER" => Verb::User,
            "VOLUME" => Verb::Volume,
            "WORKDIR" => Verb::WorkDir,
            _ => {
                return Err(invalid("use one of CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR"));
            }
        };
        Ok(Change { verb, text: text.trim().to_owned(), line: line.to_owned() })
    }
}

/// Makes changes to the member `config` of an image's config, in their order.
///
/// # Errors
/// One that makes no sense there.
pub fn apply(changes: &[Change], config: &mut Map<String, Value>) -> Result<(), InvalidChange> {
    let invalid = |change: &Change, problem| InvalidChange { text: change.line.chars().take(200).collect(), problem };
    changes.iter().try_for_each(|change| change.apply(config).map_err(|problem| invalid(change, problem)))
}

impl Change {
    fn apply(&self, config: &mut Map<String, Value>) -> Result<(), &'static str> {
        let text = &self.text;
        let words = |config: &Map<String, Value>| words(text, &variables(config));
        match self.verb {
            Verb::Cmd => set(config, "Cmd", command(text)?),
            Verb::Entrypoint => set(config, "Entrypoint", command(text)?),
            Verb::OnBuild => list(config, "OnBuild").push(json!(text)),
            Verb::User => set(config, "User", json!(one(words(config)?)?)),
            Verb::StopSignal => set(config, "StopSignal", json!(one(words(config)?)?)),
            Verb::WorkDir => {
                let folder = one(words(config)?)?;
                let known = config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default().trim_end_matches('/');
                let whole = if folder.starts_with('/') { folder } else { format!("{known}/{folder}") };
                set(config, "WorkingDir", json!(whole));
            }
            Verb::Env => {
                for (name, value) in pairs(&words(config)?)? {
                    let list = list(config, "Env");
                    list.retain(|known| known.as_str().and_then(|known| known.split_once('=')).is_none_or(|known| known.0 != name));
                    list.push(json!(format!("{name}={value}")));
                }
            }
            Verb::Label => {
                let pairs = pairs(&words(config)?)?;
                members(config, "Labels").extend(pairs.into_iter().map(|(name, value)| (name, json!(value))));
            }
            Verb::Volume => {
                let paths = match json_words(text) {
                    Some(paths) => paths,
                    None => words(config)?,
                };
                if paths.is_empty() || paths.iter().any(|path| !path.starts_with('/')) {
                    return Err("a volume is an absolute path");
                }
                members(config, "Volumes").extend(paths.into_iter().map(|path| (path, json!({}))));
            }
            Verb::Expose => {
                for word in words(config)? {
                    members(config, "ExposedPorts").extend(ports(&word)?.into_iter().map(|port| (port, json!({}))));
                }
            }
        }
        Ok(())
    }
}

fn set(config: &mut Map<String, Value>, name: &str, value: Value) {
    config.insert(name.to_owned(), value);
}

fn list<'a>(config: &'a mut Map<String, Value>, name: &str) -> &'a mut Vec<Value> {
    let value = config.entry(name).or_insert(Value::Null);
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Value::Array(list) => list,
        _ => unreachable!("it was made an array"),
    }
}

fn members<'a>(config: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(members) => members,
        _ => unreachable!("it was made an object"),
    }
}

/// A program with its arguments, or a line for the shell.
fn command(text: &str) -> Result<Value, &'static str> {
    match json_words(text) {
        Some(words) => Ok(json!(words)),
        None if text.is_empty() => Err("it has no value"),
        None => Ok(json!(["/bin/sh", "-c", text])),
    }
}

/// The exec form: what is no array of strings is the other form, as for Docker.
fn json_words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn one(words: Vec<String>) -> Result<String, &'static str> {
    match <[String; 1]>::try_from(words) {
        Ok([word]) if !word.is_empty() => Ok(word),
        _ => Err("it has one word as its value"),
    }
}

/// `A=b C=d`, or the old form `A b and all that follows`.
fn pairs(words: &[String]) -> Result<Vec<(String, String)>, &'static str> {
    let [first, rest @ ..] = words else { return Err("it has no value") };
    let pair = |word: &String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let found = match pair(first) {
        Some(_) => words.iter().map(pair).collect::<Option<Vec<_>>>().ok_or("a word is not NAME=VALUE")?,
        None if rest.is_empty() => return Err("it is not NAME=VALUE"),
        None => vec![(first.clone(), rest.join(" "))],
    };
    if found.iter().any(|(name, _)| name.is_empty()) { Err("a name is empty") } else { Ok(found) }
}

/// `80`, `53/udp`, `8000-8002/tcp`.
fn ports(word: &str) -> Result<Vec<String>, &'static str> {
    let (range, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err("the protocol is not tcp, udp or sctp");
    }
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535");
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Ok((port(first)?..=port(last)?).map(|port| format!("{port}/{protocol}")).collect())
}

/// The variables that a config sets.
fn variables(config: &Map<String, Value>) -> BTreeMap<String, String> {
    let set = config.get("Env").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    set.filter_map(|variable| variable.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Splits at blanks that are neither quoted nor escaped, and puts in the variables.
fn words(text: &str, variables: &BTreeMap<String, String>) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            ('\'' | '"', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (character, Some(open)) if character == open => quote = None,
            ('$', None | Some('"')) => {
                let name = name(&mut characters)?;
                let value = variables.get(&name).map_or("", String::as_str);
                word.get_or_insert_default().push_str(value);
            }
            (character, None) if character.is_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    if quote.is_some() { Err("a quotation mark is not closed") } else { Ok(words) }
}

/// The name of a variable behind its dollar sign.
fn name(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, &'static str> {
    let braced = characters.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(character) = characters.next_if(|character| character.is_ascii_alphanumeric() || *character == '_') {
        name.push(character);
    }
    if name.is_empty() || (braced && characters.next() != Some('}')) {
        return Err("a variable is $NAME or ${NAME}; a plain dollar sign is \\$");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(lines: &[&str]) -> Value {
        applied_or_not(lines).unwrap()
    }

    fn applied_or_not(lines: &[&str]) -> Result<Value, InvalidChange> {
        let mut config = Map::new();
        let changes = lines.iter().map(|line| line.parse()).collect::<Result<Vec<Change>, _>>()?;
        apply(&changes, &mut config)?;
        Ok(config.into())
    }

    #[test]
    fn every_instruction() {
        assert_eq!(applied(&["CMD [\"/bin/x\", \"-y\"]"]), json!({"Cmd": ["/bin/x", "-y"]}));
        assert_eq!(applied(&["cmd echo $HOME \"a\""]), json!({"Cmd": ["/bin/sh", "-c", "echo $HOME \"a\""]}));
        assert_eq!(applied(&["ENTRYPOINT []"]), json!({"Entrypoint": []}));
        assert_eq!(applied(&["USER 1000:1000", "STOPSIGNAL SIGQUIT"]), json!({"User": "1000:1000", "StopSignal": "SIGQUIT"}));
        assert_eq!(applied(&["WORKDIR /a/", "WORKDIR b", "WORKDIR 'c d'"]), json!({"WorkingDir": "/a/b/c d"}));
        assert_eq!(applied(&["VOLUME [\"/a b\"]", "VOLUME /c /d"]), json!({"Volumes": {"/a b": {}, "/c": {}, "/d": {}}}));
        let ports = json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}}});
        assert_eq!(applied(&["EXPOSE 80 53/UDP", "EXPOSE 8000-8001"]), ports);
        assert_eq!(applied(&["LABEL a=b \"c d\"='e f'"]), json!({"Labels": {"a": "b", "c d": "e f"}}));
        assert_eq!(applied(&["ONBUILD RUN x"]), json!({"OnBuild": ["RUN x"]}));
    }

    #[test]
    fn variables_of_variables() {
        let lines =
            ["ENV A=1 B=\"x y\"", "ENV C old form", "ENV A=$A:${B} D='$A' E=\\$A F=$none", "LABEL a=${A}", "ENV P=80", "EXPOSE $P"];
        let env = json!(["B=x y", "C=old form", "A=1:x y", "D=$A", "E=$A", "F=", "P=80"]);
        assert_eq!(applied(&lines), json!({"Env": env, "Labels": {"a": "1:x y"}, "ExposedPorts": {"80/tcp": {}}}));
    }

    #[test]
    fn what_is_none() {
        for (line, problem) in [
            ("", "it has no value"),
            ("CMD", "it has no value"),
            ("RUN x", "use one of CMD"),
            ("ENV A", "it is not NAME=VALUE"),
            ("ENV A=b C", "a word is not NAME=VALUE"),
            ("ENV =b", "a name is empty"),
            ("ENV A=\"b", "a quotation mark is not closed"),
            ("ENV A=${B:-c}", "a variable is $NAME or ${NAME}"),
            ("ENV A=$", "a variable is $NAME or ${NAME}"),
            ("EXPOSE 0", "a port is a number"),
            ("EXPOSE 70000", "a port is a number"),
            ("EXPOSE 1/icmp", "the protocol is not"),
            ("VOLUME a", "a volume is an absolute path"),
            ("USER a b", "it has one word"),
        ] {
            let error = applied_or_not(&[line]).unwrap_err().to_string();
            assert!(error.contains(problem) && error.starts_with(&format!("invalid change {line:?}: ")), "{line}: {error}");
        }
    }
}
