//! The command lines of `lines.txt`, given to rctr, and to docker and podman where they are installed: what is expected is what they do,
//! and not what we think they do.

mod engines;
mod script;

use std::fmt::Write as _;

use engines::{Docker, Engine, Podman, Rctr};
use script::Line;

integration::tests![the_script_is_read, rctr_answers_as_docker_does, docker_itself, podman_itself];

fn the_script_is_read() {
    script::check();
}

fn rctr_answers_as_docker_does() {
    let rctr = Rctr::new();
    run(&rctr);
    rctr.clean();
}

fn docker_itself() {
    run(&Docker::new());
}

fn podman_itself() {
    run(&Podman::new());
}

/// Gives all lines to an engine and tells of all that are answered otherwise.
fn run(engine: &impl Engine) {
    std::fs::write(engine.folder().join("env"), "FROM_FILE=a file\n").expect("a file");
    std::fs::create_dir_all(engine.folder().join("squash")).expect("a folder");
    let file = "FROM busybox\nRUN echo one > /a\nRUN rm /a; echo two > /b\n";
    std::fs::write(engine.folder().join("squash/Dockerfile"), file).expect("a file");
    let (mut wrong, mut asked) = (String::new(), 0);
    for line in script::parse(include_str!("lines.txt")) {
        if line.not.iter().any(|(not, _)| not == engine.name()) {
            continue;
        }
        asked += 1;
        if let Some(what) = check(engine, &line) {
            let _ = writeln!(wrong, "line {}: {what}", line.number);
        }
    }
    assert!(asked > 100, "only {asked} lines were asked");
    assert!(wrong.is_empty(), "{} of {asked} command lines:\n{wrong}", engine.name());
}

/// What is wrong with the answer to a line.
fn check(engine: &impl Engine, line: &Line) -> Option<String> {
    let output = engine.run(&line.words);
    let code = line.code(engine.name());
    if output.code != code {
        return Some(format!("expected exit code {code}\n{output}"));
    }
    if let Some(patterns) = &line.stdout
        && !script::fits(patterns, &output.stdout)
    {
        return Some(format!("expected on stdout:\n{}\n{output}", patterns.join("\n")));
    }
    let aside = output.stderr.to_lowercase();
    let missing = line.stderr.iter().find(|part| !aside.contains(&part.to_lowercase()))?;
    Some(format!("expected on stderr: {missing}\n{output}"))
}
