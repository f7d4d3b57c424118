//! What containers say, and what programs beside theirs do.

use cri::{ExecSyncRequest, ReopenContainerLogRequest};
use tonic::Code;

use crate::cri::asking::*;
use crate::cri::node::{Node, is_another};

integration::tests![
    logs_are_lines_with_their_time,
    a_renamed_log_is_followed_by_another,
    output_and_code_of_a_process,
    a_process_has_a_deadline,
];

fn lines(n: &Node, pod: &str) -> Vec<String> {
    let text = std::fs::read_to_string(n.env.path("logs").join(pod).join("main.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn logs_are_lines_with_their_time() {
    let n = Node::start();
    let (pod, id) = started(&n, "logged", "echo one; echo two >&2; head -c 20000 /dev/zero | tr '\\0' x; echo; printf rest");
    ended(&n, &id);
    let said = |words: &str| lines(&n, "logged").iter().any(|line| line.ends_with(words));
    n.env.soon("the log is whole", || said("rest") && said("two"));
    // A line comes in parts of at most 16 KiB.
    let long = lines(&n, "logged").into_iter().filter(|line| line.ends_with('x'));
    let long: Vec<_> = long.filter_map(|line| Some(line.split_once(" stdout ")?.1.split_once(' ')?.1.len())).collect();
    assert!(long.iter().sum::<usize>() == 20_000 && long.iter().all(|part| *part <= 16 << 10), "{long:?}");
    // Its end may come later than all else of it, and is a part of its own then.
    let is_end = |line: &str| line.contains(" stdout F x") || line.ends_with(" stdout F ");
    assert!(long.len() > 1 && lines(&n, "logged").iter().filter(|line| is_end(line)).count() == 1, "the last of them is marked");
    for line in lines(&n, "logged").into_iter().filter(|line| !line.ends_with('x') && !is_end(line)) {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.len() >= 20 && time.contains('T'), "{line}");
        assert!(["stdout F one", "stderr F two", "stdout P rest", "stdout F rest"].contains(&rest), "{line}");
    }
    remove_pod(&n, &pod);
}

fn a_renamed_log_is_followed_by_another() {
    let n = Node::start();
    let (pod, id) = started(&n, "rotated", "while :; do echo line; sleep 0.05; done");
    let log = n.env.path("logs/rotated/main.log");
    n.env.soon("it writes", || !lines(&n, "rotated").is_empty());
    let old = log.with_extension("old");
    std::fs::rename(&log, &old).expect("renamed");
    let reopen = |n: &Node| n.ask(n.containers().reopen_container_log(ReopenContainerLogRequest { container_id: id.clone() }));
    reopen(&n).expect("reopened");
    let length = std::fs::metadata(&old).expect("the old one").len();
    n.env.soon("it writes to the new one", || lines(&n, "rotated").len() > 2);
    assert_eq!(std::fs::metadata(&old).expect("the old one").len(), length);
    stop(&n, &id, 0);
    std::fs::remove_file(&log).expect("removed");
    assert!(reopen(&n).is_err() && !log.exists());
    remove_pod(&n, &pod);
}

fn output_and_code_of_a_process() {
    let n = Node::start();
    let (pod, id) = started(&n, "exec", SLEEP);
    let answer = sh(&n, &id, "echo out; echo err >&2; exit 5");
    assert_eq!((answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code), (&b"out\n"[..], &b"err\n"[..], 5));
    if !is_another() {
        // More than is kept is no error, and the rest is read nevertheless.
        let cmd = ["head", "-c", "17000000", "/dev/zero"].map(str::to_owned).to_vec();
        let mut client = n.containers().max_decoding_message_size(64 << 20);
        let answer = n.ok(client.exec_sync(ExecSyncRequest { container_id: id.clone(), cmd, timeout: 60 }));
        assert_eq!((answer.stdout.len(), answer.exit_code), (16 << 20, 0));
    }
    let exec = |id: &str, cmd: &[&str], timeout| ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: cmd.iter().map(|word| (*word).to_owned()).collect(),
        timeout,
    };
    assert!(n.ask(n.containers().exec_sync(exec(&id, &["/no/such"], 5))).is_err());
    n.fails(Code::NotFound, n.containers().exec_sync(exec(&"0".repeat(64), &["true"], 5)));
    if !is_another() {
        n.fails(Code::InvalidArgument, n.containers().exec_sync(exec(&id, &[], 5)));
        n.fails(Code::InvalidArgument, n.containers().exec_sync(exec(&id, &["true"], -1)));
        let message = n.fails(Code::InvalidArgument, n.containers().exec_sync(exec("", &["true"], 5)));
        assert_eq!(message, "container_id: it is empty");
    }
    stop(&n, &id, 0);
    assert!(n.ask(n.containers().exec_sync(exec(&id, &["true"], 5))).is_err());
    remove_pod(&n, &pod);
}

fn a_process_has_a_deadline() {
    let n = Node::start();
    let (pod, id) = started(&n, "deadline", SLEEP);
    let cmd = ["sh", "-c", "sleep 77"].map(str::to_owned).to_vec();
    n.fails(Code::DeadlineExceeded, n.containers().exec_sync(ExecSyncRequest { container_id: id.clone(), cmd, timeout: 1 }));
    n.env.soon("it is gone", || !says(&n, &id, "ps").contains("sleep 77"));
    remove_pod(&n, &pod);
}
