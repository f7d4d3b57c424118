//! Logs in files of the caller's, and processes that are waited for.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use engine::{Error, ExecOutput, ExecRequest, Grace, StartOptions};

use super::{Pods, chain, soon, words};

integration::tests![
    a_log_is_where_the_caller_wants_it,
    a_renamed_log_is_followed_by_another,
    no_log_is_made_for_what_does_not_run,
    nothing_is_kept_without_a_path,
    a_log_that_cannot_be_is_an_error,
    a_process_is_waited_for,
    output_has_a_limit,
    a_process_has_a_deadline,
];

const NOW: Grace = Grace::For(Duration::ZERO);

fn texts(log: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    // After the time, which has always as many digits.
    text.lines().map(|line| line[31..].to_owned()).collect()
}

fn a_log_is_where_the_caller_wants_it() {
    let t = Pods::new();
    let (pod, log) = (t.run("logged"), t.env.path("logs/a/0.log"));
    let script = "echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; printf rest";
    let a = t.start(&pod, "a", |request| {
        request.cmd = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        request.tuning.log.path = Some(log.clone());
    });
    t.engine.wait(&a).unwrap();
    let lines = texts(&log);
    assert!(lines.contains(&"stdout F one".to_owned()) && lines.contains(&"stderr F two".to_owned()), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("stdout P rest"));
    let long: String = lines.iter().filter_map(|line| line.strip_prefix("stdout ")).map(|line| &line[2..]).collect();
    assert_eq!(long, format!("one{}rest", "x".repeat(20000)));
    assert!(lines.iter().all(|line| line.len() <= "stdout P ".len() + (16 << 10)), "parts of at most 16 KiB");
    // Nothing is kept twice, and `rctr logs` finds it.
    assert!(!t.env.root().join("containers").join(&a).join("log/current").exists());
    assert!(t.env.rctr(["logs", "--tail", "1", &a[..12]]).ok().text().ends_with("rest"));
    // A terminal's line ends are lines' ends.
    let log = t.env.path("logs/b/0.log");
    let b = t.start(&pod, "b", |request| {
        (request.cmd, request.tty) = (words("echo tty"), true);
        request.tuning.log.path = Some(log.clone());
    });
    t.engine.wait(&b).unwrap();
    assert_eq!(texts(&log), ["stdout F tty"]);
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn a_renamed_log_is_followed_by_another() {
    let t = Pods::new();
    let (pod, log, old) = (t.run("rotated"), t.env.path("0.log"), t.env.path("0.log.old"));
    let script = "while read line; do echo $line; done";
    let a = t.start(&pod, "a", |request| {
        request.cmd = vec!["sh".to_owned(), "-c".to_owned(), format!("mkfifo /f; while true; do {script} < /f; done")];
        request.tuning.log.path = Some(log.clone());
    });
    let say = |text: &str| t.sh(&a, &format!("while [ ! -p /f ]; do sleep 0.01; done; echo {text} > /f"));
    say("before");
    soon("the first line", || texts(&log).len() == 1);
    fs::rename(&log, &old).unwrap();
    say("between");
    soon("the second line", || texts(&old).len() == 2);
    t.engine.reopen_log(&a).unwrap();
    assert!(log.exists() && texts(&log).is_empty(), "it is there when the request is answered");
    say("after");
    soon("the third line", || texts(&log) == ["stdout F after"]);
    assert_eq!(texts(&old), ["stdout F before", "stdout F between"]);
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn no_log_is_made_for_what_does_not_run() {
    let t = Pods::new();
    let (pod, log) = (t.run("ended"), t.env.path("0.log"));
    let a = t.create(&pod, "a", |request| request.tuning.log.path = Some(log.clone())).unwrap();
    let refused = |when: &str| {
        let error = t.engine.reopen_log(&a).unwrap_err();
        assert!(matches!(error, Error::NotRunning(_)), "{when}: {}", chain(&error));
        assert!(!log.exists(), "{when}");
    };
    refused("before its start");
    t.engine.start(&a, &StartOptions::default()).unwrap();
    t.engine.stop(&a, None, NOW).unwrap();
    fs::remove_file(&log).unwrap();
    refused("after its end");
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn nothing_is_kept_without_a_path() {
    let t = Pods::new();
    let pod = t.run("silent");
    let a = t.start(&pod, "a", |request| {
        request.cmd = words("echo hello");
        request.tuning.log.none = true;
    });
    t.engine.wait(&a).unwrap();
    assert!(super::list(&t.env.root().join("containers").join(&a).join("log")).is_empty());
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn a_log_that_cannot_be_is_an_error() {
    let t = Pods::new();
    let pod = t.run("refused");
    let error = t.create(&pod, "up", |request| request.tuning.log.path = Some("/var/log/../../etc/x".into())).unwrap_err();
    assert!(chain(&error).contains("log file /var/log/../../etc/x"), "{}", chain(&error));
    // A link in its place is not followed.
    let (log, victim) = (t.env.path("0.log"), t.env.path("victim"));
    std::os::unix::fs::symlink(&victim, &log).unwrap();
    let a = t.create(&pod, "link", |request| request.tuning.log.path = Some(log.clone())).unwrap();
    let error = t.engine.start(&a, &StartOptions::default()).unwrap_err();
    assert!(chain(&error).contains("0.log") && !victim.exists(), "{}", chain(&error));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn sync(t: &Pods, id: &str, script: &str, timeout: Option<u64>, limit: usize) -> Result<ExecOutput, Error> {
    let request = ExecRequest { cmd: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()], ..ExecRequest::default() };
    t.engine.exec_sync(id, &request, timeout.map(Duration::from_millis), limit)
}

fn a_process_is_waited_for() {
    let t = Pods::new();
    let pod = t.run("waited");
    let a = t.start(&pod, "a", |_| {});
    let output = sync(&t, &a, "echo out; echo err >&2; exit 7", Some(10_000), 100).unwrap();
    assert_eq!(output, ExecOutput { stdout: b"out\n".to_vec(), stderr: b"err\n".to_vec(), code: 7 });
    assert_eq!(sync(&t, &a, "kill -9 $$", None, 100).unwrap().code, 137);
    // One that leaves a child behind with its output open is not waited for without end.
    assert_eq!(sync(&t, &a, "sleep 1000 & echo there", None, 100).unwrap().stdout, b"there\n");
    let missing = ExecRequest { cmd: words("/no/such"), ..ExecRequest::default() };
    let error = t.engine.exec_sync(&a, &missing, None, 100).unwrap_err();
    assert!(matches!(error, Error::Start { kind: engine::Kind::NotFound, .. }), "{error:?}");
    t.engine.stop(&a, None, NOW).unwrap();
    assert!(matches!(sync(&t, &a, "true", None, 100), Err(Error::NotRunning(_))));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn output_has_a_limit() {
    let t = Pods::new();
    let pod = t.run("limited");
    let a = t.start(&pod, "a", |_| {});
    let output =
        sync(&t, &a, "head -c 3000000 /dev/zero; head -c 2000000 /dev/zero >&2; echo done > /tmp/done", None, 1 << 20).unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len(), output.code), (1 << 20, 1 << 20, 0));
    assert_eq!(t.sh(&a, "cat /tmp/done"), "done", "it was never held up");
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn a_process_has_a_deadline() {
    let t = Pods::new();
    let pod = t.run("late");
    let a = t.start(&pod, "a", |_| {});
    for script in ["sleep 999 & sleep 998", "while true; do echo noise; done", "trap '' TERM INT; sleep 997; sleep 996"] {
        let error = sync(&t, &a, script, Some(200), 100).unwrap_err();
        assert!(matches!(error, Error::DeadlineExceeded { .. }), "{script}: {}", chain(&error));
    }
    let left = t.sh(&a, "ps -o args");
    assert!(!left.contains("sleep 99"), "{left}");
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
