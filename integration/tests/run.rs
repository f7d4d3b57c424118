//! `rctr run`: outputs, exit codes, and what image config and flags make together.

use integration::env::Env;
use integration::terminal::Terminal;
use rustix::process::Signal;

integration::tests![
    outputs_and_exit_code,
    standard_input,
    entrypoint_and_command,
    variables,
    working_folder,
    host_name_and_its_files,
    background_prints_the_id,
    removed_in_the_background,
    id_file,
    name_and_labels,
    only_its_own_processes,
    only_three_descriptors,
    read_only_root,
    networks,
    signals_are_passed_on,
    terminal_of_the_right_size,
    terminal_is_typed_into,
    terminal_ctrl_c,
    big_output_arrives_whole,
    reader_that_goes_away,
    pull_policies,
];

const NONE: [&str; 4] = ["run", "--rm", "--network", "none"];

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    NONE.iter().chain(more).copied().collect()
}

fn outputs_and_exit_code() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let both = t.rctr(args(&["busybox", "sh", "-c", "echo out; echo err >&2; exit 3"]));
    both.code(3).says("out\n").says_aside("err\n");
    t.rctr(args(&["busybox", "true"])).ok().says("").says_aside("");
    t.rctr(args(&["busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"])).code(137);
    t.nothing_left();
}

fn standard_input() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr_with("hello\nthere\n", args(&["-i", "busybox", "cat"])).ok().says("hello\nthere\n");
    t.rctr_with("hello\n", args(&["busybox", "cat"])).ok().says("");
    t.nothing_left();
}

fn entrypoint_and_command() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/config"]).ok();
    t.rctr(args(&["test/config"])).ok().says("from\ncmd\n");
    t.rctr(args(&["test/config", "x", "y"])).ok().says("x\ny\n");
    t.rctr(args(&["--entrypoint", "/probe", "test/config", "out", "mine"])).ok().says("mine\n");
    // a new entrypoint drops the image's command: the probe is called without a word
    t.rctr(args(&["--entrypoint", "/probe", "test/config"])).code(64);
    t.rctr(args(&["--entrypoint", "", "test/config", "/probe", "out", "bare"])).ok().says("bare\n");
    t.rctr(args(&["--entrypoint", "", "test/config"])).fails(125, &["test/config", "command"]);
    t.nothing_left();
}

fn variables() {
    let mut t = Env::new();
    t.set("PASSED", "from outside");
    std::fs::write(t.path("vars"), "# a comment\nFILE=one two\n\nPASSED\nUNSET\nCOLOUR=green\n").expect("a file");
    let file = t.path("vars").display().to_string();
    let env = t.rctr(args(&["--env-file", &file, "-e", "A=1", "-e", "A=2", "--entrypoint", "/probe", "test/config", "env"]));
    let mut lines = env.ok().lines();
    lines.retain(|line| !line.starts_with("HOSTNAME="));
    lines.sort_unstable();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=2", "COLOUR=green", "EMPTY=", "FILE=one two", "HOME=/home/app", "PASSED=from outside", path], "{env}");
    // a name alone: the caller's value, and no variable where the caller has none
    let names = t.rctr(args(&["-e", "PASSED", "-e", "COLOUR", "--entrypoint", "/probe", "test/config", "env"]));
    names.ok().has("PASSED=from outside\n").lacks("COLOUR");
    let own = t.rctr(args(&["-h", "box", "-e", "HOME=/elsewhere", "test/probe", "env"]));
    own.ok().has("HOSTNAME=box\n").has("HOME=/elsewhere\n").has(path);
    t.nothing_left();
}

fn working_folder() {
    let t = Env::new();
    t.rctr(args(&["--entrypoint", "/probe", "test/config", "cwd"])).ok().says("/srv/deep\n");
    t.rctr(args(&["-w", "/made/on/the/way", "test/probe", "cwd"])).ok().says("/made/on/the/way\n");
    t.rctr(args(&["test/probe", "cwd"])).ok().says("/\n");
    t.rctr(args(&["-w", "relative", "test/probe", "cwd"])).code(125);
    t.nothing_left();
}

fn host_name_and_its_files() {
    let t = Env::new();
    let id = t.start(["--name", "named", "test/probe", "sleep"]);
    t.rctr(["exec", "named", "/probe", "hostname"]).ok().says(&format!("{}\n", &id[..12]));
    let address = t.inspect("named", "{{.NetworkSettings.IPAddress}}");
    let hosts = t.rctr(["exec", "named", "/probe", "read", "/etc/hosts"]);
    hosts.ok().has("127.0.0.1\tlocalhost").has(&format!("{address}\t{}", &id[..12]));
    t.rctr(["exec", "named", "/probe", "read", "/etc/hostname"]).ok().says(&format!("{}\n", &id[..12]));
    t.rctr(["exec", "named", "/probe", "read", "/etc/resolv.conf"]).ok().lacks("ENOENT");
    t.rctr(["rm", "-f", "named"]).ok();
    let other = t.rctr(["run", "--rm", "-h", "box.example", "test/probe", "hostname", "--", "read", "/etc/hosts"]);
    other.ok().has("box.example\n").has("\tbox.example");
    t.nothing_left();
}

fn background_prints_the_id() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let run = t.rctr(["run", "-d", "--network", "none", "test/probe", "sleep"]);
    run.ok().says_aside("");
    let id = run.text();
    assert_eq!(id.len(), 64, "{run}");
    assert_eq!(t.inspect(id, "{{.State.Status}}"), "running");
    // what it does not hold open: the pipes of the command that started it, or this would not have returned
    t.rctr(["rm", "-f", id]).ok();
    t.nothing_left();
}

fn removed_in_the_background() {
    let t = Env::new();
    t.start(["--rm", "busybox", "sh", "-c", "read line; exit 4"]);
    // standard input is empty, so it ends by itself
    t.soon("the container is removed", || t.rctr(["ps", "-aq"]).stdout.is_empty());
    t.nothing_left_soon();
}

fn id_file() {
    let t = Env::new();
    let path = t.path("cid").display().to_string();
    let id = t.start(["--network", "none", "--cidfile", &path, "test/probe", "sleep"]);
    assert_eq!(std::fs::read_to_string(&path).expect("the id file"), id);
    t.rctr(args(&["--cidfile", &path, "test/probe", "out", "x"])).fails(125, &[&path]);
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn name_and_labels() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--name", "app.1", "--label", "tier=web", "-l", "bare", "test/probe", "sleep"]);
    assert_eq!(t.inspect("app.1", "{{.Id}}"), id);
    assert_eq!(t.inspect(&id[..6], "{{.Name}}"), "/app.1");
    assert_eq!(t.inspect("app.1", "{{index .Config.Labels \"tier\"}}:{{.Config.Labels.bare}}"), "web:");
    t.rctr(["run", "--name", "bad name", "test/probe"]).code(125).complains(&["--name", "bad name"]);
    t.rctr(["rm", "-f", "app.1"]).ok().says("app.1\n");
    t.nothing_left();
}

fn only_its_own_processes() {
    let t = Env::new();
    t.rctr(args(&["test/probe", "pid", "--", "processes"])).ok().says("1\n1 probe\n");
    t.nothing_left();
}

fn only_three_descriptors() {
    let t = Env::new();
    let fds = t.rctr(args(&["test/probe", "fds"]));
    let numbers: Vec<_> = fds.ok().lines().iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{fds}");
    t.nothing_left();
}

fn read_only_root() {
    let t = Env::new();
    let checks = ["--read-only", "test/probe", "create", "/x", "--", "create", "/tmp/x", "--", "create", "/dev/shm/x"];
    t.rctr(args(&checks)).ok().says("EROFS\nEROFS\nok\n");
    t.nothing_left();
}

fn networks() {
    let t = Env::new();
    t.rctr(["run", "--rm", "--network", "none", "test/probe", "links"]).ok().says("lo\n");
    t.rctr(["run", "--rm", "test/probe", "links"]).ok().says("eth0\nlo\n");
    t.rctr(["run", "--rm", "--network", "bridge", "test/probe", "links"]).ok().says("eth0\nlo\n");
    let host = t.rctr(["run", "--rm", "--network", "host", "test/probe", "links", "--", "hostname"]);
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    host.ok().has(&format!("{}\n", t.bridge())).has(&format!("{name}\n"));
    t.rctr(["run", "--rm", "--network", "nowhere", "test/probe", "links"]).code(125).complains(&["nowhere"]);
    t.nothing_left();
}

fn signals_are_passed_on() {
    let t = Env::new();
    let mut run = t.spawn(args(&["test/probe", "trap", "1", "2", "10"]));
    run.wait_for("ready\n");
    run.signal(Signal::INT);
    run.wait_for("signal 2\n");
    run.signal(Signal::HUP);
    run.wait_for("signal 1\n");
    run.signal(Signal::USR1);
    run.finish().code(7).has("signal 10\n");
    t.nothing_left();
}

fn terminal_of_the_right_size() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let mut terminal = Terminal::start(&t.rctr_command(args(&["-it", "test/probe", "winch"])), 91, 33);
    terminal.wait_for("91 33");
    terminal.resize(50, 20);
    terminal.wait_for("50 20");
    terminal.type_in("\x03");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 130, "{screen}");
    t.rctr(args(&["test/probe", "tty"])).ok().says("no tty\n");
    // a terminal for the container although there is none here
    t.rctr(args(&["-t", "busybox", "sh", "-c", "test -t 1 && echo terminal"])).ok().says("terminal\r\n");
    t.nothing_left();
}

fn terminal_is_typed_into() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let mut terminal = Terminal::start(&t.rctr_command(args(&["-it", "busybox", "sh"])), 80, 25);
    terminal.wait_for("/ # ");
    terminal.type_in("echo $((6*7)) $TERM\n");
    terminal.wait_for("42 xterm");
    terminal.type_in("exit 5\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 5, "{screen}");
    t.nothing_left();
}

fn terminal_ctrl_c() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    // without -t the terminal's own interrupt hits rctr, which passes it on
    let mut terminal = Terminal::start(&t.rctr_command(args(&["test/probe", "trap", "2", "15"])), 80, 25);
    terminal.wait_for("ready");
    terminal.type_in("\x03");
    terminal.wait_for("signal 2");
    let ids = t.rctr(["ps", "-q"]);
    t.rctr(["stop", ids.ok().text()]).ok();
    let (code, screen) = terminal.finish();
    assert!(code == 0 && screen.contains("signal 15"), "{code} {screen}");
    t.nothing_left();
}

fn big_output_arrives_whole() {
    let t = Env::new();
    let run = t.rctr(args(&["test/probe", "spam", "100000", "80"]));
    let lines = run.ok().lines();
    assert_eq!((lines.len(), lines.last().map(|line| line.trim_start_matches('0'))), (100_000, Some("99999")));
    assert!(lines.iter().all(|line| line.len() == 80));
    t.nothing_left();
}

/// `rctr run … | head -1`: the container must not hang on a reader that has gone.
fn reader_that_goes_away() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let rctr = integration::env::world().rctr.display().to_string();
    let mut shell = t.command("sh");
    shell.args(["-c", "\"$0\" \"$@\" | head -n 1", &rctr]).args(args(&["test/probe", "spam", "50000", "80"]));
    integration::env::Running::start(shell).finish().ok().has("00000\n");
    t.nothing_left_soon();
}

fn pull_policies() {
    let t = Env::new();
    let run = |policy: &str| t.rctr(args(&["--pull", policy, "test/probe", "out", "x"]));
    run("never").fails(125, &["test/probe", "no such image"]);
    let first = run("missing");
    first.ok().says("x\n").complains(&["test/probe:latest", "Pull complete"]);
    run("missing").ok().says("x\n").says_aside("");
    run("always").ok().says("x\n").complains(&["test/probe:latest"]);
    t.registries("");
    run("never").ok().says("x\n");
    t.nothing_left();
}
