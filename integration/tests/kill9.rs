//! SIGKILL of `rctr` at any moment of a run leaves at most something that `rctr rm -f` removes.

use std::time::{Duration, Instant};

use integration::env::Env;

integration::tests![of_a_run_in_the_background, of_a_run_in_the_foreground, of_a_removal, of_the_monitor];

/// How long an undisturbed command takes: the moments to try lie evenly in it and a little after.
fn moments(undisturbed: Duration) -> impl Iterator<Item = Duration> {
    const COUNT: u32 = 24;
    (0..COUNT).map(move |number| undisturbed * number * 5 / 4 / COUNT)
}

fn clean(t: &Env, moment: Duration) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        // what was half made may have no name yet, or no longer
        let _ = t.rctr(["rm", "-f", "app"]);
        t.remove_all();
        if t.left().is_empty() || Instant::now() > deadline {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let left = t.left();
    assert!(left.is_empty(), "killed after {moment:?}, left behind:\n  {}", left.join("\n  "));
}

fn of_a_run_in_the_background() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let port = crate::ports::free_port();
    let publish = format!("{port}:80");
    let words = ["run", "-d", "--name", "app", "-p", &publish, "test/probe", "sleep"];
    let start = Instant::now();
    t.rctr(words).ok();
    let undisturbed = start.elapsed();
    clean(&t, Duration::MAX);
    for moment in moments(undisturbed) {
        let run = t.spawn(words);
        std::thread::sleep(moment);
        run.kill();
        clean(&t, moment);
        // name, port and address are free again
        t.rctr(words).ok();
        t.rctr(["rm", "-f", "app"]).ok();
        t.nothing_left();
    }
}

fn of_a_run_in_the_foreground() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let words = ["run", "--rm", "-i", "--name", "app", "test/probe", "cat"];
    let start = Instant::now();
    t.rctr(words).ok();
    for moment in moments(start.elapsed()) {
        let run = t.spawn(words);
        std::thread::sleep(moment);
        run.kill();
        clean(&t, moment);
    }
}

fn of_a_removal() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let words = ["run", "-d", "--name", "app", "test/probe", "sleep"];
    t.rctr(words).ok();
    let start = Instant::now();
    t.rctr(["rm", "-f", "app"]).ok();
    for moment in moments(start.elapsed()) {
        t.rctr(words).ok();
        let removal = t.spawn(["rm", "-f", "app"]);
        std::thread::sleep(moment);
        removal.kill();
        clean(&t, moment);
    }
}

/// The monitor dies: the container is not lost, it can be seen and removed.
fn of_the_monitor() {
    let t = Env::new();
    let id = t.start(["--name", "app", "test/probe", "sleep"]);
    let pid = t.inspect(&id, "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).and_then(|pid| pid.trim().parse().ok());
    let monitor = monitor.and_then(rustix::process::Pid::from_raw).expect("a parent");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("a signal sent");
    t.rctr(["ps", "-a", "--format", "{{.Names}}"]).ok().says("app\n");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left_soon();
}
