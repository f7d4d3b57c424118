//! `exec`: another process in a running container.

use integration::env::Env;
use integration::terminal::Terminal;

integration::tests![
    outputs_and_exit_code,
    input_variables_folder_user,
    terminal_of_its_own,
    in_the_background,
    shares_everything,
    is_held_as_the_container_is,
    programs_that_cannot_run,
    only_in_a_running_one,
    many_at_once,
    outlives_nothing,
];

fn running(t: &Env) -> String {
    t.start(["--network", "none", "-e", "FROM=run", "--entrypoint", "/probe", "test/config", "sleep"])
}

fn end(t: &Env, id: &str) {
    t.rctr(["rm", "-f", id]).ok();
    t.nothing_left();
}

fn outputs_and_exit_code() {
    let t = Env::new();
    let id = running(&t);
    t.rctr(["exec", &id, "sh", "-c", "echo out; echo err >&2; exit 5"]).code(5).says("out\n").says_aside("err\n");
    t.rctr(["exec", &id, "sh", "-c", "kill -15 $$"]).code(143);
    end(&t, &id);
}

fn input_variables_folder_user() {
    let t = Env::new();
    let id = running(&t);
    t.rctr_with("typed\n", ["exec", "-i", &id, "cat"]).ok().says("typed\n");
    t.rctr_with("typed\n", ["exec", &id, "cat"]).ok().says("");
    let env = t.rctr(["exec", "-e", "MINE=1", &id, "/probe", "env", "--", "cwd", "--", "id"]);
    env.ok()
        .has("MINE=1\n")
        .has("FROM=run\n")
        .has("COLOUR=blue\n")
        .has("/srv/deep\n")
        .has("uid=1000 gid=1000 groups=1000,2000,2001\n");
    let root = t.rctr(["exec", "-w", "/tmp", "-u", "root", &id, "/probe", "env", "--", "cwd", "--", "id"]);
    root.ok().has("HOME=/root\n").has("/tmp\n").has("uid=0 gid=0");
    t.rctr(["exec", "-u", "12:34", &id, "/probe", "id"]).ok().has("uid=12 gid=34");
    t.rctr(["exec", "-u", "ghost", &id, "/probe", "id"]).fails(125, &["ghost", "passwd"]);
    end(&t, &id);
}

fn terminal_of_its_own() {
    let t = Env::new();
    let id = running(&t);
    let mut terminal = Terminal::start(&t.rctr_command(["exec", "-it", "-u", "0", &id, "/probe", "winch"]), 77, 22);
    terminal.wait_for("77 22");
    terminal.resize(66, 11);
    terminal.wait_for("66 11");
    terminal.type_in("\x03");
    assert_eq!(terminal.finish().0, 130);
    end(&t, &id);
}

fn in_the_background() {
    let t = Env::new();
    let id = running(&t);
    t.rctr(["exec", "-d", &id, "/probe", "write", "/tmp/done", "yes"]).ok().says("");
    t.soon("the process has written", || t.rctr(["exec", &id, "/probe", "read", "/tmp/done"]).stdout == "yes");
    end(&t, &id);
}

fn shares_everything() {
    let t = Env::new();
    let id = running(&t);
    let pid = t.inspect(&id, "{{.State.Pid}}");
    let mine = t.rctr(["exec", "-u", "0", &id, "/probe", "namespaces"]);
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let init = names.map(|name| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace").display().to_string());
    assert_eq!(mine.ok().lines(), init);
    t.rctr(["exec", &id, "/probe", "processes"]).ok().has("1 probe\n");
    let background = t.spawn(["exec", &id, "/probe", "sleep", "30"]);
    t.soon("the process is in the container's cgroups", || {
        let own = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        children(&id).iter().any(|pid| own(pid).contains(&id))
    });
    background.kill();
    end(&t, &id);
}

/// Processes named `probe` that are in a cgroup of container `id`, but for its first.
fn children(id: &str) -> Vec<String> {
    let all =
        std::fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let read = |pid: &str, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    all.filter(|pid| read(pid, "cgroup").contains(id) && read(pid, "cmdline").contains("sleep\u{0}30")).collect()
}

fn is_held_as_the_container_is() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--cap-drop", "ALL", "--cap-add", "KILL", "test/probe", "sleep"]);
    let status = t.rctr(["exec", &id, "/probe", "status"]);
    let kill = "0000000000000020";
    status.ok().has(&format!("CapPrm: {kill}\nCapEff: {kill}\nCapBnd: {kill}\n")).has("CapInh: 0000000000000000").has("Seccomp: 2");
    t.rctr(["exec", &id, "/probe", "writable", "/proc/sys/kernel/hostname"]).ok().says("EROFS\n");
    t.rctr(["exec", &id, "/probe", "fds"]).ok().lacks("3 ");
    let all = t.rctr(["exec", "--privileged", &id, "/probe", "status"]);
    all.ok().lacks(&format!("CapEff: {kill}"));
    end(&t, &id);
}

fn programs_that_cannot_run() {
    let t = Env::new();
    let id = running(&t);
    t.rctr(["exec", &id, "no-such-program"]).fails(127, &["no-such-program"]);
    t.rctr(["exec", &id, "/bin/not-executable"]).fails(126, &["/bin/not-executable"]);
    t.rctr(["exec", "-u", "0", &id, "/tmp"]).fails(126, &["/tmp"]);
    end(&t, &id);
}

fn only_in_a_running_one() {
    let t = Env::new();
    t.rctr(["create", "--name", "idle", "test/probe", "sleep"]).ok();
    t.rctr(["exec", "idle", "/probe", "id"]).fails(125, &["idle", "not running"]);
    end(&t, "idle");
}

fn many_at_once() {
    let t = Env::new();
    let id = running(&t);
    let all: Vec<_> = (0..16).map(|number| t.spawn(["exec", &id, "/probe", "out", &number.to_string()])).collect();
    for (number, exec) in all.into_iter().enumerate() {
        exec.finish().ok().says(&format!("{number}\n"));
    }
    end(&t, &id);
}

/// When the container ends, so does what was executed in it, and the caller is told.
fn outlives_nothing() {
    let t = Env::new();
    let id = running(&t);
    let mut exec = t.spawn(["exec", &id, "/probe", "out", "up", "--", "sleep"]);
    exec.wait_for("up\n");
    t.rctr(["kill", &id]).ok();
    exec.finish().code(137);
    end(&t, &id);
}
