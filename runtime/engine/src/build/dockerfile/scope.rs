//! Which variables an instruction sees: `ARG` before the first stage, `ARG` and `ENV` in one.

use std::collections::BTreeMap;

use super::{Instruction, Invalid, Kind, words};

/// Arguments that every `RUN` sees without an `ARG`, and that change nothing of what is built.
pub(crate) const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What is known before any stage begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    escape: char,
    /// `--build-arg`
    pub(crate) given: BTreeMap<String, String>,
    /// `TARGETPLATFORM` and the like.
    automatic: BTreeMap<String, String>,
    /// The `ARG`s before the first stage.
    args: BTreeMap<String, Option<String>>,
}

impl Globals {
    /// Reads the `ARG`s before the first stage.
    pub(crate) fn new(
        escape: char,
        args: &[Instruction],
        given: &BTreeMap<String, String>,
        automatic: &BTreeMap<String, String>,
    ) -> Result<Globals, Invalid> {
        let mut globals = Globals { escape, given: given.clone(), automatic: automatic.clone(), args: BTreeMap::new() };
        for instruction in args {
            let Kind::Arg(pairs) = &instruction.kind else { continue };
            for (name, default) in pairs {
                let value = match (globals.given.get(name), default) {
                    (Some(given), _) => Some(given.clone()),
                    (None, Some(default)) => Some(globals.expand(default, instruction)?),
                    (None, None) => globals.automatic.get(name).cloned(),
                };
                globals.args.insert(name.clone(), value);
            }
        }
        Ok(globals)
    }

    /// A word of a `FROM`, or of an `ARG` before it.
    fn expand(&self, word: &str, instruction: &Instruction) -> Result<String, Invalid> {
        self.expand_at(word, instruction.lines.0)
    }

    pub(crate) fn expand_at(&self, word: &str, line: usize) -> Result<String, Invalid> {
        let lookup = |name: &str| match self.args.get(name) {
            Some(value) => value.clone(),
            None => self.automatic.get(name).cloned(),
        };
        words::expand(word, self.escape, &lookup).map_err(|problem| Invalid::new(line, problem).at(word))
    }

    /// What an `ARG` of a stage stands for when it says nothing itself.
    fn inherited(&self, name: &str) -> Option<String> {
        self.args.get(name).cloned().flatten().or_else(|| self.automatic.get(name).cloned())
    }
}

/// What instructions of a stage see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) escape: char,
    /// `ARG`s so far, in order.
    pub(crate) args: Vec<(String, Option<String>)>,
    /// The image's variables and those of `ENV`, in order.
    pub(crate) env: Vec<(String, String)>,
}

impl Scope {
    /// The value of a variable. `ENV` wins over `ARG`, whichever comes later.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let env = self.env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        env.or_else(|| self.args.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone()))
    }

    /// One word with its variables put in.
    pub(crate) fn expand(&self, word: &str) -> Result<String, String> {
        words::expand(word, self.escape, &|name| self.get(name))
    }

    /// Words with their variables put in.
    pub(crate) fn expand_all(&self, text: &str) -> Result<Vec<String>, String> {
        words::expand_all(text, self.escape, &|name| self.get(name))
    }

    /// A here-document with its variables put in.
    pub(crate) fn expand_text(&self, text: &str) -> Result<String, String> {
        words::expand_text(text, self.escape, &|name| self.get(name))
    }

    /// `ARG`.
    pub(crate) fn declare(&mut self, name: &str, default: Option<&str>, globals: &Globals) -> Result<(), String> {
        let value = match (globals.given.get(name), default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(self.expand(default)?),
            (None, None) => globals.inherited(name),
        };
        match self.args.iter_mut().find(|(key, _)| key == name) {
            Some(known) => known.1 = value,
            None => self.args.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// `ENV`.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.env.iter_mut().find(|(key, _)| key == name) {
            Some(known) => known.1 = value.to_owned(),
            None => self.env.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The arguments that a `RUN` sees and the image will not have, sorted.
    pub(crate) fn visible_args(&self) -> BTreeMap<String, String> {
        let hidden = |name: &String| self.env.iter().any(|(key, _)| key == name);
        let set = self.args.iter().filter(|(name, _)| !hidden(name));
        set.filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dockerfile;
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn globals(text: &str, given: &[(&str, &str)]) -> Globals {
        let file = Dockerfile::parse(&format!("{text}\nFROM x")).unwrap();
        Globals::new('\\', &file.args, &map(given), &map(&[("TARGETARCH", "amd64")])).unwrap()
    }

    /// Applies the instructions of one stage, and answers the scope.
    fn stage(globals: &Globals, text: &str) -> Scope {
        let file = Dockerfile::parse(&format!("FROM x\n{text}")).unwrap();
        let mut scope = Scope { escape: '\\', ..Scope::default() };
        for instruction in &file.stages[0].instructions {
            match &instruction.kind {
                Kind::Arg(pairs) => {
                    pairs.iter().for_each(|(name, default)| scope.declare(name, default.as_deref(), globals).unwrap());
                }
                Kind::Env(pairs) => {
                    let before = scope.clone();
                    pairs.iter().for_each(|(name, value)| scope.set(name, &before.expand(value).unwrap()));
                }
                _ => {}
            }
        }
        scope
    }

    #[test]
    fn arguments_before_the_first_stage() {
        let globals = globals("ARG V=1\nARG W=$V.2\nARG X", &[("V", "9"), ("X", "x")]);
        assert_eq!(globals.expand_at("img:$W-${X}-$TARGETARCH-$NONE", 1).unwrap(), "img:9.2-x-amd64-");
        // A stage sees them only if it asks.
        assert_eq!(stage(&globals, "").get("V"), None);
        assert_eq!(stage(&globals, "ARG V").get("V").as_deref(), Some("9"));
        assert_eq!(stage(&globals, "ARG W").get("W").as_deref(), Some("9.2"));
        assert_eq!(stage(&globals, "ARG W=own").get("W").as_deref(), Some("own"));
        assert_eq!(stage(&globals, "ARG TARGETARCH").get("TARGETARCH").as_deref(), Some("amd64"));
        assert_eq!(stage(&globals, "ARG TARGETOS").get("TARGETOS"), None);
    }

    #[test]
    fn env_wins_over_arg() {
        let globals = globals("", &[("A", "given")]);
        let scope = stage(&globals, "ENV A=env\nARG A=default\nARG B=$A\nENV C=${B}!");
        assert_eq!((scope.get("A").as_deref(), scope.get("C").as_deref()), (Some("env"), Some("env!")));
        assert_eq!(scope.visible_args(), map(&[("B", "env")]));
        let scope = stage(&globals, "ARG A=default\nENV D=${A:-none}");
        assert_eq!(scope.get("D").as_deref(), Some("given"));
    }

    #[test]
    fn one_env_sees_only_what_was_before_it() {
        let scope = stage(&globals("", &[]), "ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc");
        assert_eq!((scope.get("def").as_deref(), scope.get("ghi").as_deref()), (Some("hello"), Some("bye")));
    }
}
