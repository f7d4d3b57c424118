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
    notes_with_each_record,
    in_the_journal,
    without_a_journal,
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

fn notes_with_each_record() {
    let t = Env::new();
    let flags = ["--name", "noted", "--network", "none", "--label", "tier=front", "--label", "other=x", "-e", "ZONE=a"];
    let log = [
        "--log-driver",
        "json-file",
        "--log-opt",
        "tag={{.Name}}/{{.ID}}",
        "--log-opt",
        "labels=tier,none",
        "--log-opt",
        "env=ZONE",
    ];
    let id = t.start(flags.iter().chain(&log).chain(&["busybox", "echo", "one"]));
    t.rctr(["wait", "noted"]).ok();
    let file = std::fs::read_to_string(t.root().join("containers").join(&id).join("log/current")).expect("the log");
    let record: serde_json::Value = serde_json::from_str(file.trim()).expect("JSON");
    let expected = serde_json::json!({"tag": format!("noted/{}", &id[..12]), "tier": "front", "ZONE": "a"});
    assert_eq!((&record["attrs"], &record["log"]), (&expected, &"one\n".into()));
    t.rctr(["logs", "noted"]).ok().says("one\n");
    for (option, why) in [("tag={{.Colour}}", "{{.Name}}"), ("colour=red", "tag=TEMPLATE")] {
        t.rctr(["create", "--log-driver", "json-file", "--log-opt", option, "busybox", "true"]).fails(125, &[why]);
    }
    t.rctr(["create", "--log-opt", "labels=a", "busybox", "true"]).fails(125, &["max-size"]);
    end(&t, "noted");
}

const JOURNAL: &str = "/run/systemd/journal/socket";

/// The host's journal, or one for as long as this lives.
struct Journald(Option<std::process::Child>);

impl Journald {
    fn running() -> Self {
        let program = ["/usr/lib/systemd/systemd-journald", "/lib/systemd/systemd-journald"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        let Some(program) = program else { integration::skip!("systemd's journal is not installed") };
        if std::os::unix::net::UnixDatagram::unbound().is_ok_and(|socket| socket.connect(JOURNAL).is_ok()) {
            return Self(None);
        }
        let null = std::process::Stdio::null;
        let child = std::process::Command::new(program).stdin(null()).stdout(null()).stderr(null()).spawn().expect("journald");
        let journal = Self(Some(child));
        let listens = || std::os::unix::net::UnixDatagram::unbound().is_ok_and(|socket| socket.connect(JOURNAL).is_ok());
        if !integration::env::within(std::time::Duration::from_secs(10), listens) {
            drop(journal);
            integration::skip!("systemd's journal does not start here");
        }
        journal
    }
}

impl Drop for Journald {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(JOURNAL);
        }
    }
}

fn in_the_journal() {
    let t = Env::new();
    let _journal = Journald::running();
    let script = "echo out; echo err >&2; printf 'part'; sleep 0.3; echo ' end'; head -c 300000 /dev/zero | tr '\\0' x; echo";
    let log = ["--log-driver", "journald", "--log-opt", "tag=mine", "--log-opt", "labels=tier"];
    let flags = ["--name", "kept", "--network", "none", "--label", "tier=front"];
    let id = t.start(flags.iter().chain(&log).chain(&["busybox", "sh", "-c", script]));
    t.rctr(["wait", "kept"]).ok();
    let whole = format!("out\npart end\n{}\n", "x".repeat(300_000));
    t.soon("the journal has it all", || t.rctr(["logs", "kept"]).stdout == whole);
    t.rctr(["logs", "kept"]).ok().says_aside("err\n");
    t.rctr(["logs", "--tail", "1", "--since", "1h", "kept"]).ok().has("xxx").lacks("out");
    // fields by which others find it
    let mut query = std::process::Command::new("journalctl");
    query.args([
        "-q",
        "--output=json",
        "-n",
        "1",
        "CONTAINER_TAG=mine",
        &format!("CONTAINER_ID={}", &id[..12]),
        "TIER=front",
        "PRIORITY=3",
    ]);
    let entry = query.output().expect("journalctl").stdout;
    let entry: serde_json::Value = serde_json::from_slice(&entry).expect("JSON");
    assert_eq!(
        (&entry["MESSAGE"], &entry["CONTAINER_NAME"], &entry["SYSLOG_IDENTIFIER"]),
        (&"err".into(), &"kept".into(), &"mine".into())
    );
    assert_eq!(t.inspect("kept", "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config.tag}}"), "journald mine");
    // followed until it ends
    let flags = ["--name", "fast", "--network", "none", "--log-driver", "journald", "busybox", "sh", "-c"];
    t.start(flags.iter().chain(&["echo one; sleep 1; echo two"]));
    t.rctr(["logs", "-f", "fast"]).ok().says("one\ntwo\n");
    t.rctr(["rm", "-f", "fast"]).ok();
    end(&t, "kept");
}

fn without_a_journal() {
    let mut t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    // who is not heard runs all the same
    t.start(["--name", "a", "--network", "none", "--log-driver", "journald", "busybox", "echo", "x"]);
    t.rctr(["wait", "a"]).ok().says("0\n");
    t.set("PATH", "/nonsuch");
    t.rctr(["logs", "a"]).fails(125, &["journalctl", "journal"]);
    t.rctr(["create", "--log-driver", "journald", "--log-opt", "max-size=1m", "busybox", "true"])
        .fails(125, &["max-size", "tag=TEMPLATE"]);
    end(&t, "a");
}
