//! Every flag that takes a value is given one that makes no sense.

use clap::builder::ValueRange;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory};

use super::Cli;

const NONSENSE: &str = "\u{1}?nonsense=,:/\\";

/// Flags for which it makes sense, and why.
const ANYTHING: [(&[&str], &str); 9] = [
    (&["format"], "a template may have any text"),
    (
        &["label", "label-rm", "unsetlabel", "annotation", "description", "env", "env-merge", "build-arg"],
        "keys and values may be any text",
    ),
    (&["entrypoint", "health-cmd", "health-startup-cmd"], "what a program is called only its container knows"),
    (&["message", "author", "username", "password"], "people write what they like"),
    (&["arch", "os", "variant", "os-version", "os-features"], "platforms that are yet to come"),
    (&["again"], "nobody but rctr itself gives it"),
    (&["target", "no-cache-filter"], "what stages are called only the Dockerfile knows"),
    // Each of these names its flag when there is no such file, and so do options of drivers: see integration/tests/flags.rs.
    (
        &[
            "root",
            "run",
            "env-file",
            "init-path",
            "label-file",
            "cidfile",
            "pidfile",
            "output",
            "input",
            "file",
            "iidfile",
            "metadata-file",
            "htpasswd",
            "tls-cert",
            "tls-key",
            "digestfile",
            "from",
            "context",
        ],
        "a path may have any name",
    ),
    (&["opt", "log-opt", "security-opt", "interface-name", "ssh", "bridge", "cgroup-parent"], "read with what goes with it"),
];

#[test]
fn every_flag_names_itself_and_what_it_takes() {
    let mut command = Cli::command();
    command.build();
    let (mut wrong, mut tried) = (Vec::new(), 0);
    walk(&command, &mut Vec::new(), &mut wrong, &mut tried);
    assert!(tried > 500, "only {tried} flags were found");
    assert!(wrong.is_empty(), "{} of {tried} flags:\n{}", wrong.len(), wrong.join("\n"));
}

fn walk(command: &Command, path: &mut Vec<String>, wrong: &mut Vec<String>, tried: &mut usize) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        path.push(verb.get_name().to_owned());
        for arg in verb.get_arguments() {
            let takes_value = arg.get_num_args().unwrap_or(ValueRange::EMPTY).takes_values();
            let Some(name) = arg.get_long().filter(|_| takes_value) else { continue };
            *tried += 1;
            let flag = format!("--{name}={NONSENSE}");
            let words: Vec<_> =
                ["rctr"].into_iter().chain(path.iter().map(String::as_str)).chain([flag.as_str(), "x", "x"]).collect();
            let said = Cli::read(&words.iter().map(Into::into).collect::<Vec<_>>()).err();
            let refused = said.filter(|error| matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue));
            let anything = ANYTHING.iter().any(|(names, _)| names.contains(&name));
            match refused.map(|error| error.to_string()) {
                Some(text) if !text.contains(&format!("--{name}")) => wrong.push(format!("{} {flag}: {text}", path.join(" "))),
                None if !anything => wrong.push(format!("{} {flag}: taken", path.join(" "))),
                _ => {}
            }
        }
        walk(verb, path, wrong, tried);
        path.pop();
    }
}
