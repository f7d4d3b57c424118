//! `create`, `start`, `stop`, `kill`, `wait`: the life of a container in steps.

use integration::env::Env;

integration::tests![
    created_then_started,
    started_and_listened_to,
    files_survive_a_restart,
    start_of_a_running_one_changes_nothing,
    stop_asks_first,
    stop_insists_after_the_time,
    stop_uses_the_images_signal,
    kill_sends_what_it_is_told,
    wait_answers_the_exit_code,
    verbs_on_nothing,
    several_at_once,
    published_ports_come_back_with_a_restart,
];

fn created_then_started() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let created = t.rctr(["create", "--name", "app", "busybox", "sh", "-c", "echo ran; exit 6"]);
    assert_eq!(created.ok().text().len(), 64, "{created}");
    assert_eq!(t.inspect("app", "{{.State.Status}} {{.State.Pid}}"), "created 0");
    t.rctr(["start", "app"]).ok().says("app\n");
    t.rctr(["wait", "app"]).ok().says("6\n");
    t.rctr(["logs", "app"]).ok().says("ran\n");
    assert_eq!(t.inspect("app", "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}"), "exited 6 false");
    t.rctr(["rm", "app"]).ok().says("app\n");
    t.nothing_left();
}

fn started_and_listened_to() {
    let t = Env::new();
    t.rctr(["create", "-i", "--network", "none", "--name", "app", "busybox", "sh", "-c", "cat; exit 9"]).ok();
    t.rctr_with("typed\n", ["start", "-a", "-i", "app"]).code(9).says("typed\n");
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn files_survive_a_restart() {
    let t = Env::new();
    let script = "test -e /mark && echo again || echo first; touch /mark";
    t.rctr(["create", "--network", "none", "--name", "app", "busybox", "sh", "-c", script]).ok();
    for said in ["first\n", "again\n", "again\n"] {
        t.rctr(["start", "-a", "app"]).ok().says(said);
    }
    t.rctr(["logs", "app"]).ok().says("first\nagain\nagain\n");
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn start_of_a_running_one_changes_nothing() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "sleep"]);
    let pid = t.inspect(&id, "{{.State.Pid}}");
    t.rctr(["start", &id]).ok();
    assert_eq!(t.inspect(&id, "{{.State.Pid}}"), pid);
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn stop_asks_first() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "trap", "15"]);
    t.wait_for_log(&id, "ready");
    t.rctr(["stop", &id]).ok().says(&format!("{id}\n"));
    assert_eq!(t.inspect(&id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 0");
    t.rctr(["logs", &id]).ok().says("ready\nsignal 15\n");
    // stopping what has stopped is no mistake
    t.rctr(["stop", &id]).ok();
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn stop_insists_after_the_time() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "sleep"]);
    let start = std::time::Instant::now();
    t.rctr(["stop", "-t", "1", &id]).ok();
    let seconds = start.elapsed().as_secs_f32();
    assert!((0.9..9.0).contains(&seconds), "{seconds}");
    assert_eq!(t.inspect(&id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn stop_uses_the_images_signal() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--entrypoint", "/probe", "test/config", "trap", "10", "15"]);
    t.wait_for_log(&id, "ready");
    t.rctr(["stop", &id]).ok();
    assert_eq!(t.inspect(&id, "{{.State.ExitCode}}"), "7");
    t.rctr(["logs", &id]).ok().says("ready\nsignal 10\n");
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn kill_sends_what_it_is_told() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "trap", "1", "12"]);
    t.wait_for_log(&id, "ready");
    t.rctr(["kill", "-s", "HUP", &id]).ok().says(&format!("{id}\n"));
    t.wait_for_log(&id, "signal 1");
    t.rctr(["kill", "--signal", "12", &id]).ok();
    t.wait_for_log(&id, "signal 12");
    t.rctr(["kill", "-s", "SIGNOTHING", &id]).code(125).complains(&["SIGNOTHING"]);
    t.rctr(["kill", &id]).ok();
    t.rctr(["wait", &id]).ok().says("137\n");
    t.rctr(["kill", &id]).fails(125, &["not running"]);
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn wait_answers_the_exit_code() {
    let t = Env::new();
    let id =
        t.start(["--network", "none", "-i", "busybox", "sh", "-c", "trap 'exit 11' USR1; echo up; while :; do sleep 0.05; done"]);
    t.wait_for_log(&id, "up");
    let wait = t.spawn(["wait", &id]);
    t.rctr(["kill", "-s", "USR1", &id]).ok();
    wait.finish().ok().says("11\n");
    t.rctr(["wait", &id]).ok().says("11\n");
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn verbs_on_nothing() {
    let t = Env::new();
    for verb in ["start", "stop", "kill", "wait", "rm", "logs"] {
        t.rctr([verb, "nobody"]).fails(125, &["no such container: nobody"]);
    }
    t.rctr(["exec", "nobody", "true"]).fails(125, &["no such container: nobody"]);
    t.nothing_left();
}

fn several_at_once() {
    let t = Env::new();
    for name in ["aa", "bb", "cc"] {
        t.start(["--network", "none", "--name", name, "test/probe", "trap", "15"]);
    }
    t.rctr(["stop", "-t", "5", "aa", "bb"]).ok().says("aa\nbb\n");
    // one that is not there does not keep the others
    t.rctr(["rm", "aa", "nobody", "bb"]).code(125).says("aa\nbb\n").complains(&["nobody"]);
    t.rctr(["rm", "-f", "cc"]).ok().says("cc\n");
    t.nothing_left();
}

fn published_ports_come_back_with_a_restart() {
    let t = Env::new();
    let port = crate::ports::free_port();
    let id = t.start(["-p", &format!("{port}:80"), "test/probe", "listen", "80", "hello"]);
    for _ in 0..3 {
        t.wait_for_log(&id, "listening");
        crate::ports::expect(("127.0.0.1", port), "hello");
        t.rctr(["stop", "-t", "0", &id]).ok();
        crate::ports::expect_refused(("127.0.0.1", port));
        t.rctr(["start", &id]).ok();
    }
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}
