//! `logs`: what was said, when, and from where on.

use integration::env::Env;

integration::tests![
    both_streams_apart,
    tail_and_times,
    since_a_moment,
    followed_to_the_end,
    followed_while_it_speaks,
    long_and_unfinished_lines,
    rotated_and_bounded,
    a_terminal_is_logged_too,
    of_one_that_is_gone,
];

fn said(t: &Env, script: &str) -> String {
    let id = t.start(["--network", "none", "busybox", "sh", "-c", script]);
    t.rctr(["wait", &id]).ok();
    id
}

fn end(t: &Env, id: &str) {
    t.rctr(["rm", "-f", id]).ok();
    t.nothing_left();
}

fn both_streams_apart() {
    let t = Env::new();
    let id = said(&t, "echo out; echo err >&2; echo out again");
    t.rctr(["logs", &id]).ok().says("out\nout again\n").says_aside("err\n");
    end(&t, &id);
}

fn tail_and_times() {
    let t = Env::new();
    let id = said(&t, "for i in 1 2 3 4 5; do echo line $i; done");
    t.rctr(["logs", "--tail", "2", &id]).ok().says("line 4\nline 5\n");
    t.rctr(["logs", "-n", "0", &id]).ok().says("");
    t.rctr(["logs", "--tail", "all", &id]).ok().says("line 1\nline 2\nline 3\nline 4\nline 5\n");
    t.rctr(["logs", "--tail", "9", &id]).ok().has("line 1\n");
    let stamped = t.rctr(["logs", "-t", "--tail", "1", &id]);
    let (time, text) = stamped.ok().text().split_once(' ').expect("a time and a text");
    assert_eq!(text, "line 5");
    assert!(time.len() == 30 && time.ends_with('Z') && time.as_bytes()[10] == b'T' && time.as_bytes()[19] == b'.', "{stamped}");
    end(&t, &id);
}

fn since_a_moment() {
    let t = Env::new();
    let id = said(&t, "echo early; sleep 1.2; echo late");
    let stamped = t.rctr(["logs", "-t", "--tail", "1", &id]);
    let late = stamped.ok().text().split(' ').next().unwrap_or_default().to_owned();
    t.rctr(["logs", "--since", &late, &id]).ok().says("late\n");
    t.rctr(["logs", "--since", "1h", &id]).ok().says("early\nlate\n");
    t.rctr(["logs", "--since", "2000-01-01", &id]).ok().says("early\nlate\n");
    t.rctr(["logs", "--since", "rubbish", &id]).code(125).complains(&["rubbish"]);
    end(&t, &id);
}

fn followed_to_the_end() {
    let t = Env::new();
    let id = t.start(["--network", "none", "busybox", "sh", "-c", "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three"]);
    t.rctr(["logs", "-f", &id]).ok().says("one\nthree\n").says_aside("two\n");
    // of one that has ended, it ends at once
    t.rctr(["logs", "--follow", &id]).ok().says("one\nthree\n");
    end(&t, &id);
}

fn followed_while_it_speaks() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "trap", "1", "12", "15"]);
    let mut follow = t.spawn(["logs", "-f", "--tail", "1", &id]);
    follow.wait_for("ready\n");
    t.rctr(["kill", "-s", "1", &id]).ok();
    follow.wait_for("signal 1\n");
    t.rctr(["kill", "-s", "15", &id]).ok();
    follow.finish().ok().says("ready\nsignal 1\nsignal 15\n");
    end(&t, &id);
}

fn long_and_unfinished_lines() {
    let t = Env::new();
    let long = "x".repeat(50_000);
    let id = said(&t, "head -c 50000 /dev/zero | tr '\\0' x; echo; echo; printf 'no end'");
    let log = t.rctr(["logs", &id]);
    log.ok();
    assert!(log.stdout.starts_with(&format!("{long}\n\nno end")), "{} bytes", log.stdout.len());
    let last = t.rctr(["logs", "-t", "--tail", "3", &id]);
    assert_eq!(last.ok().lines().len(), 3, "parts of a long line are one line");
    end(&t, &id);
}

fn rotated_and_bounded() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "spam", "450000", "90"]);
    t.rctr(["wait", &id]).ok().says("0\n");
    let folder = t.root().join("containers").join(&id).join("log");
    let sizes: Vec<u64> =
        std::fs::read_dir(folder).expect("the log").flatten().map(|file| file.metadata().expect("a file").len()).collect();
    let (files, bytes) = (sizes.len(), sizes.iter().sum::<u64>());
    assert!(files == 3 && (20_000_000..33_000_000).contains(&bytes), "{sizes:?}");
    let last = t.rctr(["logs", "--tail", "1", &id]);
    assert_eq!(last.ok().text().trim_start_matches('0'), "449999");
    let all = t.rctr(["logs", &id]);
    let numbers: Vec<u64> = all.ok().lines().iter().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.len() > 150_000 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "a gap at a rotation");
    end(&t, &id);
}

fn a_terminal_is_logged_too() {
    let t = Env::new();
    let id = t.start(["-t", "--network", "none", "busybox", "echo", "hello"]);
    t.rctr(["wait", &id]).ok();
    t.rctr(["logs", &id]).ok().says("hello\r\n");
    end(&t, &id);
}

fn of_one_that_is_gone() {
    let t = Env::new();
    let id = said(&t, "true");
    t.rctr(["logs", &id]).ok().says("");
    end(&t, &id);
    t.rctr(["logs", &id]).fails(125, &["no such container"]);
}
