//! The command line itself: help, completions, version, info.

use integration::env::{Env, Running};

integration::tests![
    help_names_every_verb,
    help_of_run_names_its_flags,
    completions_are_valid,
    version_and_info,
    output_that_cannot_be_written
];

const VERBS: [&str; 51] = [
    "attach",
    "boot",
    "build",
    "builder",
    "commit",
    "container",
    "copy",
    "cp",
    "create",
    "diff",
    "events",
    "exec",
    "export",
    "history",
    "image",
    "images",
    "import",
    "info",
    "inspect",
    "kill",
    "load",
    "login",
    "logout",
    "logs",
    "manifest",
    "network",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "registry",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "save",
    "search",
    "start",
    "stats",
    "stop",
    "system",
    "tag",
    "top",
    "unpause",
    "update",
    "version",
    "volume",
    "wait",
    "completion",
];

fn help_names_every_verb() {
    let t = Env::new();
    let help = t.rctr(["--help"]);
    for verb in VERBS {
        assert!(help.ok().lines().iter().any(|line| line.trim_start().starts_with(&format!("{verb} "))), "{verb}\n{help}");
        t.rctr([verb, "--help"]).ok().has("Usage:").says_aside("");
    }
    t.rctr::<&str>([]).ok().has("Usage:");
    t.nothing_left();
}

fn help_of_run_names_its_flags() {
    let t = Env::new();
    let help = t.rctr(["run", "--help"]);
    for flag in [
        "-d, --detach",
        "-i, --interactive",
        "-t, --tty",
        "--rm",
        "--name",
        "-p, --publish",
        "-e, --env",
        "--env-file",
        "-v, --volume",
        "-w, --workdir",
        "-u, --user",
        "--entrypoint",
        "-h, --hostname",
        "--network",
        "-m, --memory",
        "--cpus",
        "--pids-limit",
        "--cap-add",
        "--cap-drop",
        "--privileged",
        "--read-only",
        "--label",
        "--pull",
        "--platform",
        "--cidfile",
    ] {
        help.ok().has(flag);
    }
}

fn completions_are_valid() {
    let t = Env::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = t.rctr(["completion", shell]);
        script.ok().has("rctr").has("inspect").has("pids-limit");
    }
    let script = t.rctr(["completion", "bash"]);
    // It is longer than one argument may be (execve(2)).
    let file = t.path("completion");
    std::fs::write(&file, &script.ok().stdout).expect("a file");
    let ask = ". \"$0\"; COMP_WORDS=(rctr in); COMP_CWORD=1; $(complete -p rctr | sed 's/.*-F \\([^ ]*\\).*/\\1/') rctr in rctr; echo \"${COMPREPLY[@]}\"";
    let mut bash = t.command("bash");
    bash.args(["--norc", "-c", ask]).arg(&file);
    Running::start(bash).finish().ok().has("inspect").has("info");
}

fn version_and_info() {
    let t = Env::new();
    let version = t.rctr(["version"]);
    version.ok().has(env!("CARGO_PKG_VERSION"));
    t.rctr(["--version"]).ok().has(env!("CARGO_PKG_VERSION"));
    let id = t.start(["--network", "none", "test/probe", "sleep"]);
    let info = t.rctr(["info"]);
    info.ok().has("Containers: 1").has("Running: 1").has("Images: 1").has(&t.root().display().to_string());
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn output_that_cannot_be_written() {
    let t = Env::new();
    let full = std::fs::File::create("/dev/full").expect("/dev/full");
    let output = t.rctr_command(["version"]).stdout(full).output().expect("rctr");
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
}
