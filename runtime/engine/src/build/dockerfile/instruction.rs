//! What an instruction says, before any variable is put in.

use std::time::Duration;

use super::lines::{Heredoc, Logical, is_heredoc};
use super::{Invalid, words};

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// First and last line, counted from 1.
    pub lines: (usize, usize),
    /// As it was typed, its lines as one.
    pub text: String,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says. Words still have their variables, quotes and escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `FROM [--platform=P] IMAGE [AS NAME]`
    From(From),
    /// `ARG NAME[=VALUE] …`
    Arg(Vec<(String, Option<String>)>),
    /// `ENV NAME=VALUE …`
    Env(Vec<(String, String)>),
    /// `LABEL NAME=VALUE …`
    Label(Vec<(String, String)>),
    /// `RUN`
    Run(Run),
    /// `COPY`
    Copy(Copy),
    /// `ADD`
    Add(Copy),
    /// `CMD`
    Cmd(Command),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `EXPOSE`: its words.
    Expose(String),
    /// `VOLUME`: its words.
    Volume(Vec<String>),
    /// `USER`
    User(String),
    /// `WORKDIR`
    Workdir(String),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    StopSignal(String),
    /// `ONBUILD`: what is done in whatever is built on the image.
    OnBuild(String),
    /// `MAINTAINER`
    Maintainer(String),
}

/// A program and its arguments, or a line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `["program", "argument"]`
    Exec(Vec<String>),
    /// Anything else.
    Shell(String),
}

/// The beginning of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`.
    pub image: String,
    /// What later stages call it.
    pub name: Option<String>,
    /// `--platform`
    pub platform: Option<String>,
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: Command,
    /// Its here-documents.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, as they were typed.
    pub mounts: Vec<String>,
    /// `--network`
    pub network: Option<String>,
    /// `--security`
    pub security: Option<String>,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// What is copied.
    pub sources: Vec<String>,
    /// Where to.
    pub target: String,
    /// Files that are in the Dockerfile itself.
    pub heredocs: Vec<Heredoc>,
    /// `--from`
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--unpack`
    pub unpack: Option<bool>,
}

/// `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healthcheck {
    /// Nothing for `NONE`.
    pub command: Option<Command>,
    /// `--interval`
    pub interval: Option<Duration>,
    /// `--timeout`
    pub timeout: Option<Duration>,
    /// `--start-period`
    pub start_period: Option<Duration>,
    /// `--start-interval`
    pub start_interval: Option<Duration>,
    /// `--retries`
    pub retries: Option<u32>,
}

/// Reads an instruction.
pub(crate) fn read(logical: &Logical, escape: char) -> Result<Instruction, Invalid> {
    let line = logical.lines.0;
    let kind = kind(&logical.text, &logical.heredocs, escape).map_err(|wrong| {
        let invalid = Invalid::new(line, wrong.problem);
        if wrong.about.is_empty() { invalid } else { invalid.at(wrong.about) }
    })?;
    Ok(Instruction { lines: logical.lines, text: logical.text.clone(), kind })
}

/// What is wrong, and the words that it is about.
struct Wrong {
    problem: String,
    about: String,
}

fn wrong<T>(about: &str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { problem: problem.into(), about: about.to_owned() })
}

fn kind(text: &str, heredocs: &[Heredoc], escape: char) -> Result<Kind, Wrong> {
    let (verb, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let upper = verb.to_ascii_uppercase();
    let (flags, rest) = flags(rest.trim(), escape);
    let mut flags = Flags { verb: upper.clone(), flags };
    let needs = |what: &str| wrong::<Kind>(verb, format!("{upper} requires {what}"));
    let some = || if rest.is_empty() { wrong(verb, format!("{upper} requires at least one argument")) } else { Ok(()) };
    let kind = match upper.as_str() {
        "FROM" => {
            let platform = flags.text("platform")?;
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (image, name) = match words[..] {
                [image] => (image, None),
                [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(stage_name(name)?)),
                _ => return needs("either one or three arguments"),
            };
            Kind::From(From { image: image.to_owned(), name, platform })
        }
        "ARG" => {
            some()?;
            Kind::Arg(words::raw(&rest, escape).iter().map(|word| argument(word)).collect::<Result<_, _>>()?)
        }
        "ENV" => Kind::Env(pairs("ENV", &rest, escape)?),
        "LABEL" => Kind::Label(pairs("LABEL", &rest, escape)?),
        "RUN" => {
            some()?;
            let (network, security, mounts) = (flags.text("network")?, flags.text("security")?, flags.texts("mount")?);
            Kind::Run(Run { command: command(&rest), heredocs: heredocs.to_vec(), mounts, network, security })
        }
        "COPY" => Kind::Copy(copy(&rest, heredocs, &mut flags, escape)?),
        "ADD" => Kind::Add(copy(&rest, heredocs, &mut flags, escape)?),
        "CMD" => Kind::Cmd(command(&rest)),
        "ENTRYPOINT" => Kind::Entrypoint(command(&rest)),
        "EXPOSE" => {
            some()?;
            Kind::Expose(rest.clone())
        }
        "VOLUME" => {
            some()?;
            Kind::Volume(list(&rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect()))
        }
        "USER" | "WORKDIR" | "STOPSIGNAL" | "MAINTAINER" => {
            if rest.is_empty() {
                return needs("exactly one argument");
            }
            match upper.as_str() {
                "USER" => Kind::User(rest.clone()),
                "WORKDIR" => Kind::Workdir(rest.clone()),
                "STOPSIGNAL" => Kind::StopSignal(rest.clone()),
                _ => Kind::Maintainer(rest.clone()),
            }
        }
        "HEALTHCHECK" => Kind::Healthcheck(healthcheck(&rest, &mut flags)?),
        "SHELL" => match list(&rest) {
            Some(words) if !words.is_empty() => Kind::Shell(words),
            Some(_) => return needs("at least one argument"),
            None => return needs("the arguments to be in JSON form"),
        },
        "ONBUILD" => {
            some()?;
            on_build(&rest, heredocs, escape)?
        }
        _ => return wrong(verb, format!("unknown instruction: {verb}{}", meant(&upper))),
    };
    flags.none_left()?;
    Ok(kind)
}

/// Reads the instruction of an image's `ONBUILD`.
pub(crate) fn trigger(text: &str, escape: char) -> Result<Kind, String> {
    let (_, logical) = super::lines::cut(text).map_err(|invalid| invalid.problem)?;
    match &logical[..] {
        [one] => kind(&one.text, &one.heredocs, escape).map_err(|wrong| wrong.problem),
        _ => Err("it is not one instruction".to_owned()),
    }
}

fn on_build(rest: &str, heredocs: &[Heredoc], escape: char) -> Result<Kind, Wrong> {
    let verb = rest.split_whitespace().next().unwrap_or_default();
    match verb.to_ascii_uppercase().as_str() {
        "ONBUILD" => return wrong(verb, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        "FROM" | "MAINTAINER" => return wrong(verb, format!("{} isn't allowed as an ONBUILD trigger", verb.to_ascii_uppercase())),
        _ => {}
    }
    kind(rest, heredocs, escape)?;
    let documents = heredocs.iter().map(|heredoc| format!("\n{}{}", heredoc.content, heredoc.name));
    Ok(Kind::OnBuild(rest.to_owned() + &documents.collect::<String>()))
}

/// The instruction that was probably meant.
fn meant(verb: &str) -> String {
    const VERBS: [&str; 18] = [
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ];
    let near = VERBS.iter().map(|known| (distance(verb, known), known.as_bytes().first() != verb.as_bytes().first(), known)).min();
    near.filter(|(far, ..)| *far <= 2 && *far < verb.len())
        .map(|(.., known)| format!(" (did you mean {known}?)"))
        .unwrap_or_default()
}

/// Letters that have to change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 20 {
        return a.len();
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.bytes().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in b.bytes().enumerate() {
            let here = (corner + usize::from(letter != other)).min(row[column] + 1).min(row[column + 1] + 1);
            corner = std::mem::replace(&mut row[column + 1], here);
        }
    }
    row[b.len()]
}

fn stage_name(name: &str) -> Result<String, Wrong> {
    let lower = name.to_ascii_lowercase();
    let fits = lower.starts_with(|letter: char| letter.is_ascii_lowercase())
        && lower.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    match fits {
        true => Ok(lower),
        false => wrong(
            name,
            format!("invalid name for build stage: {name:?}: use letters, digits, '-', '_' and '.', and begin with a letter"),
        ),
    }
}

fn argument(word: &str) -> Result<(String, Option<String>), Wrong> {
    match word.split_once('=') {
        Some(("", _)) => wrong(word, "ARG names can not be blank"),
        Some((name, value)) => Ok((name.to_owned(), Some(value.to_owned()))),
        None => Ok((word.to_owned(), None)),
    }
}

/// `NAME=VALUE …`, or the old form of one pair: `NAME the rest`.
fn pairs(verb: &str, rest: &str, escape: char) -> Result<Vec<(String, String)>, Wrong> {
    let words = words::raw(rest, escape);
    let Some(first) = words.first() else { return wrong(verb, format!("{verb} requires at least one argument")) };
    if !first.contains('=') {
        let value = rest.trim_start()[first.len()..].trim();
        if value.is_empty() {
            return wrong(first, format!("{verb} must have two arguments"));
        }
        return Ok(vec![(first.clone(), value.to_owned())]);
    }
    let pair = |word: &String| match word.split_once('=') {
        Some(("", _)) => wrong(word, format!("{verb} names can not be blank")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => wrong(word, format!("syntax error: can't find = in {word:?}: must be of the form: name=value")),
    };
    words.iter().map(pair).collect()
}

fn copy(rest: &str, heredocs: &[Heredoc], flags: &mut Flags, escape: char) -> Result<Copy, Wrong> {
    let verb = flags.verb.clone();
    let mut words = list(rest).unwrap_or_else(|| rest.split_whitespace().map(str::to_owned).collect());
    if words.len() < 2 {
        return wrong(
            &verb,
            format!("{verb} requires at least two arguments, but {} were provided: source and destination", words.len()),
        );
    }
    let target = words.pop().unwrap_or_default();
    words.retain(|word| is_heredoc(word, escape).is_none_or(|name| !heredocs.iter().any(|heredoc| heredoc.name == name)));
    let add = verb == "ADD";
    let copy = Copy {
        sources: words,
        target,
        heredocs: heredocs.to_vec(),
        from: if add { None } else { flags.text("from")? },
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or_default(),
        parents: if add { false } else { flags.switch("parents")?.unwrap_or_default() },
        exclude: flags.texts("exclude")?,
        checksum: if add { flags.text("checksum")? } else { None },
        keep_git_dir: if add { flags.switch("keep-git-dir")?.unwrap_or_default() } else { false },
        unpack: if add { flags.switch("unpack")? } else { None },
    };
    Ok(copy)
}

fn healthcheck(rest: &str, flags: &mut Flags) -> Result<Healthcheck, Wrong> {
    let (kind, command_text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let none =
        || Healthcheck { command: None, interval: None, timeout: None, start_period: None, start_interval: None, retries: None };
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if command_text.trim().is_empty() => Ok(none()),
        "NONE" => wrong(command_text.trim(), "HEALTHCHECK NONE takes no arguments"),
        "CMD" => {
            let command = match command(command_text.trim()) {
                Command::Shell(text) if text.is_empty() => return wrong(kind, "missing command after HEALTHCHECK CMD"),
                Command::Exec(words) if words.is_empty() => return wrong(kind, "missing command after HEALTHCHECK CMD"),
                command => command,
            };
            let retries = match flags.text("retries")? {
                None => None,
                Some(text) => match text.parse::<u32>() {
                    Ok(retries) => Some(retries),
                    Err(_) => return wrong(&text, format!("--retries {text:?} is no number from 0 on")),
                },
            };
            Ok(Healthcheck {
                command: Some(command),
                interval: flags.duration("interval")?,
                timeout: flags.duration("timeout")?,
                start_period: flags.duration("start-period")?,
                start_interval: flags.duration("start-interval")?,
                retries,
            })
        }
        "" => wrong("HEALTHCHECK", "HEALTHCHECK requires at least one argument: CMD or NONE"),
        _ => wrong(kind, format!("unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
}

/// `["a", "b"]` or a line for the shell.
fn command(text: &str) -> Command {
    match list(text) {
        Some(words) => Command::Exec(words),
        None => Command::Shell(text.to_owned()),
    }
}

/// A JSON list of strings.
fn list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// The words before everything else that begin with `--`, with their quotes taken away, and the rest.
fn flags(text: &str, escape: char) -> (Vec<(String, Option<String>)>, String) {
    let mut found = Vec::new();
    let mut rest = text;
    while rest.starts_with("--") {
        let mut word = String::new();
        let mut quote = None;
        let mut end = rest.len();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match quote {
                None if letter.is_whitespace() => {
                    end = at;
                    break;
                }
                None if letter == '\'' || letter == '"' => quote = Some(letter),
                Some(open) if letter == open => quote = None,
                _ if letter == escape => word.extend(letters.next().map(|(_, next)| next)),
                _ => word.push(letter),
            }
        }
        rest = rest[end..].trim_start();
        if word == "--" {
            break;
        }
        let (name, value) = match word[2..].split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word[2..].to_owned(), None),
        };
        found.push((name, value));
    }
    (found, rest.to_owned())
}

/// Flags of an instruction, taken one by one; those that nobody takes are none.
struct Flags {
    verb: String,
    flags: Vec<(String, Option<String>)>,
}

impl Flags {
    fn texts(&mut self, name: &str) -> Result<Vec<String>, Wrong> {
        let (own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.flags).into_iter().partition(|flag| flag.0 == name);
        self.flags = others;
        own.into_iter()
            .map(|(_, value)| value.map_or_else(|| wrong(name, format!("missing a value on flag: --{name}")), Ok))
            .collect()
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        let mut texts = self.texts(name)?;
        if texts.len() > 1 {
            return wrong(name, format!("duplicate flag specified: --{name}"));
        }
        Ok(texts.pop())
    }

    fn switch(&mut self, name: &str) -> Result<Option<bool>, Wrong> {
        for flag in &mut self.flags {
            if flag.0 == name && flag.1.is_none() {
                flag.1 = Some("true".to_owned());
            }
        }
        match self.text(name)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => wrong(other, format!("expecting boolean value for flag --{name}, not: {other}")),
        }
    }

    fn duration(&mut self, name: &str) -> Result<Option<Duration>, Wrong> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match duration(&text) {
            Some(time) if time.is_zero() || time >= Duration::from_millis(1) => Ok(Some(time)),
            Some(_) => wrong(&text, format!("--{name} {text:?} is shorter than 1ms")),
            None => wrong(&text, format!("--{name} {text:?} is no duration, such as 1m30s")),
        }
    }

    fn none_left(&self) -> Result<(), Wrong> {
        match self.flags.first() {
            None => Ok(()),
            Some((name, _)) => wrong(&format!("--{name}"), format!("unknown flag: --{name} of {}", self.verb)),
        }
    }
}

/// A duration as Go writes it: `1m30s`, `1.5h`, `100ms`.
pub fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).filter(|at| *at > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let units = [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
        let (unit, seconds) = units.iter().find(|(unit, _)| rest.starts_with(unit) && (*unit != "m" || !rest.starts_with("ms")))?;
        rest = &rest[unit.len()..];
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
    }
    (!text.is_empty() && total <= Duration::from_nanos(i64::MAX as u64)).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Kind, Invalid> {
        let (directives, logical) = super::super::lines::cut(text)?;
        read(&logical[0], directives.escape).map(|instruction| instruction.kind)
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn commands() {
        assert_eq!(one("CMD [\"a\", \"b c\"]"), Ok(Kind::Cmd(Command::Exec(words(&["a", "b c"])))));
        assert_eq!(one("cmd echo $A"), Ok(Kind::Cmd(Command::Shell("echo $A".into()))));
        assert_eq!(one("CMD ['a']"), Ok(Kind::Cmd(Command::Shell("['a']".into()))));
        assert_eq!(one("CMD [1]"), Ok(Kind::Cmd(Command::Shell("[1]".into()))));
        assert_eq!(one("ENTRYPOINT []"), Ok(Kind::Entrypoint(Command::Exec(Vec::new()))));
        assert_eq!(one("SHELL [\"/bin/bash\", \"-c\"]"), Ok(Kind::Shell(words(&["/bin/bash", "-c"]))));
        let Ok(Kind::Run(run)) = one("RUN --network=none --mount=type=cache,target=/x --mount='type=tmpfs,target=/a b' make -j")
        else {
            panic!()
        };
        assert_eq!(
            (run.network.as_deref(), run.mounts),
            (Some("none"), words(&["type=cache,target=/x", "type=tmpfs,target=/a b"]))
        );
        assert_eq!(run.command, Command::Shell("make -j".into()));
        assert_eq!(
            one("RUN -- --x").map(|kind| matches!(kind, Kind::Run(Run { command: Command::Shell(text), .. }) if text == "--x")),
            Ok(true)
        );
    }

    #[test]
    fn pairs_of_all_forms() {
        let env = |text: &str| match one(text) {
            Ok(Kind::Env(pairs)) => pairs.into_iter().map(|(name, value)| format!("{name}>{value}")).collect::<Vec<_>>().join(" "),
            other => panic!("{other:?}"),
        };
        assert_eq!(env("ENV A=b C=\"d e\" F=g\\ h"), "A>b C>\"d e\" F>g\\ h");
        assert_eq!(env("ENV A b  c=d"), "A>b  c=d");
        assert_eq!(env("ENV A="), "A>");
        assert_eq!(one("ARG A B=c"), Ok(Kind::Arg(vec![("A".into(), None), ("B".into(), Some("c".into()))])));
    }

    #[test]
    fn copies() {
        let copy = |text: &str| match one(text) {
            Ok(Kind::Copy(copy) | Kind::Add(copy)) => copy,
            other => panic!("{other:?}"),
        };
        let found = copy("COPY --from=build --chown=1:2 --chmod=0644 --link --parents=false --exclude=*.md --exclude=x a b /c/");
        assert_eq!((found.sources, found.target.as_str(), found.from.as_deref()), (words(&["a", "b"]), "/c/", Some("build")));
        assert_eq!((found.link, found.parents, found.exclude), (true, false, words(&["*.md", "x"])));
        assert_eq!(copy("COPY [\"a b\", \"c\"]").sources, words(&["a b"]));
        let found = copy("COPY <<A b <<\"B\" /x/\none\nA\ntwo\nB\n");
        assert_eq!((found.sources, found.heredocs.len()), (words(&["b"]), 2));
        assert_eq!(copy("ADD --checksum=sha256:1 --keep-git-dir http://x/y /z").checksum.as_deref(), Some("sha256:1"));
    }

    #[test]
    fn health_checks() {
        let Ok(Kind::Healthcheck(check)) = one("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl x") else {
            panic!()
        };
        assert_eq!((check.interval, check.timeout), (Some(Duration::from_secs(90)), Some(Duration::from_millis(500))));
        assert_eq!((check.command, check.retries), (Some(Command::Shell("curl x".into())), Some(3)));
        assert!(matches!(one("HEALTHCHECK NONE"), Ok(Kind::Healthcheck(Healthcheck { command: None, .. }))));
        for (text, expected) in [
            ("1h", Some(3600.0)),
            ("1.5s", Some(1.5)),
            ("0", Some(0.0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1x", None),
            ("1e9h", None),
        ] {
            assert_eq!(duration(text), expected.map(Duration::from_secs_f64), "{text}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (text, problem, about) in [
            ("RNU x", "unknown instruction: RNU (did you mean RUN?)", "RNU"),
            ("BLAHBLAH x", "unknown instruction: BLAHBLAH", "BLAHBLAH"),
            ("RUN", "RUN requires at least one argument", "RUN"),
            ("FROM a b", "FROM requires either one or three arguments", "FROM"),
            ("FROM a AS 1b", "invalid name for build stage", "1b"),
            ("ENV A", "ENV must have two arguments", "A"),
            ("ENV A=b C", "can't find = in \"C\"", "C"),
            ("ENV =b", "names can not be blank", "=b"),
            ("COPY a", "COPY requires at least two arguments", "COPY"),
            ("COPY --form=b a c", "unknown flag: --form of COPY", "--form"),
            ("ADD --from=b a c", "unknown flag: --from of ADD", "--from"),
            ("COPY --link=x a c", "expecting boolean value", "x"),
            ("COPY --from=a --from=b x y", "duplicate flag", "from"),
            ("SHELL bash", "JSON form", "SHELL"),
            ("ONBUILD FROM x", "isn't allowed", "FROM"),
            ("ONBUILD ONBUILD RUN x", "Chaining", "ONBUILD"),
            ("ONBUILD RNU x", "unknown instruction", "RNU"),
            ("HEALTHCHECK x", "unknown type", "x"),
            ("HEALTHCHECK CMD", "missing command", "CMD"),
            ("HEALTHCHECK --interval=5 CMD x", "no duration", "5"),
            ("USER", "USER requires exactly one argument", "USER"),
            ("WORKDIR --x /a", "unknown flag: --x of WORKDIR", "--x"),
        ] {
            let invalid = one(text).unwrap_err();
            assert!(invalid.problem.contains(problem), "{text}: {invalid}");
            assert_eq!(invalid.about.as_deref(), Some(about), "{text}");
        }
    }
}
