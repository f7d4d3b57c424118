//! What is read, and what is refused.

use std::time::Duration;

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
    let Ok(Kind::Run(run)) = one("RUN --network=none --mount=type=cache,target=/x --mount='type=tmpfs,target=/a b' make -j") else {
        panic!()
    };
    assert_eq!((run.network.as_deref(), run.mounts), (Some("none"), words(&["type=cache,target=/x", "type=tmpfs,target=/a b"])));
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
    let Ok(Kind::Healthcheck(check)) = one("HEALTHCHECK --interval=1m30s --timeout=500ms --retries=3 CMD curl x") else { panic!() };
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
