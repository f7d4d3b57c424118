//! System call filters and Landlock rules, from inside, and the other end of a filter's listener.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};

use crate::fixture::{Bundle, foreign, knows};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("a_filter_answers", Of::Every, a_filter_answers),
    ("a_filter_takes_all_flags", Of::Every, a_filter_takes_all_flags),
    ("a_filter_comes_before_capabilities_go", Of::Every, a_filter_comes_before_capabilities_go),
    ("a_filter_covers_other_architectures", Of::Every, a_filter_covers_other_architectures),
    ("newer_calls_do_not_exist", Of::Ours, newer_calls_do_not_exist),
    ("a_listener_is_delivered", Of::Every, a_listener_is_delivered),
    ("a_listener_is_delivered_at_start", Of::Every, a_listener_is_delivered_at_start),
    ("a_listener_may_ask_for_sendmsg", Of::Every, a_listener_may_ask_for_sendmsg),
    ("a_listener_of_exec_is_another", Of::Every, a_listener_of_exec_is_another),
    ("a_listener_must_be_there", Of::Every, a_listener_must_be_there),
    ("landlock_keeps_files_and_ports", Of::Ours, landlock_keeps_files_and_ports),
    ("landlock_without_no_new_privileges", Of::Ours, landlock_without_no_new_privileges),
    ("landlock_holds_for_exec", Of::Ours, landlock_holds_for_exec),
    ("landlock_is_strict", Of::Ours, landlock_is_strict),
];

/// `ENOSYS`, what a call gets whose listener is gone or that is newer than the profile.
const ENOSYS: &str = "errno 38";

fn calls(names: &[&str], action: &str) -> Value {
    json!({"names": names, "action": action})
}

fn filtered(words: &[&str], filter: Value) -> Bundle {
    Bundle::new(words).with(|spec| spec["linux"]["seccomp"] = filter)
}

fn a_filter_answers() {
    let mut refuse = calls(&["mkdir", "mkdirat", "no_such_call"], "SCMP_ACT_ERRNO");
    refuse["errnoRet"] = json!(18);
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse]});
    for no_new_privileges in [true, false] {
        let bundle = filtered(&["mkdir", "/new"], filter.clone());
        let bundle = bundle.with(|spec| spec["process"]["noNewPrivileges"] = json!(no_new_privileges));
        assert_eq!(bundle.ok(&["run", "ID"]), "errno 18\n");
    }
    let kill = filtered(
        &["mkdir", "/new"],
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [calls(&["mkdir", "mkdirat"], "SCMP_ACT_KILL_PROCESS")]}),
    );
    assert_eq!(kill.call(&["run", "ID"]).code, Some(128 + 31));
}

fn a_filter_takes_all_flags() {
    if !knows("1.2") {
        return;
    }
    let mut flags = vec!["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"];
    if knows("1.3") {
        flags.push("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
    }
    let filter = |flags: &[&str]| json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": [calls(&["mkdir"], "SCMP_ACT_ERRNO")]});
    for given in [&flags[..], &[], &flags[..1]] {
        let out = filtered(&["facts"], filter(given)).ok(&["run", "ID"]);
        assert!(out.contains("\nSeccomp=2\n"), "{given:?}: {out}");
    }
    let bundle = filtered(&["facts"], filter(&["SECCOMP_FILTER_FLAG_NONSUCH"]));
    bundle.fails(&["run", "ID"], "SECCOMP_FILTER_FLAG_NONSUCH");
}

/// Without no_new_privs only CAP_SYS_ADMIN may load one, which this container does not have.
fn a_filter_comes_before_capabilities_go() {
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [calls(&["mkdir", "mkdirat"], "SCMP_ACT_ERRNO")]});
    let bundle = filtered(&["facts"], filter).with(|spec| {
        spec["process"]["noNewPrivileges"] = json!(false);
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let out = bundle.ok(&["run", "ID"]);
    assert!(out.contains("\nSeccomp=2\n") && out.contains("\nNoNewPrivs=0\n"), "{out}");
}

fn a_filter_covers_other_architectures() {
    let filter = json!({
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_ARM"],
        "syscalls": [{"names": all_but(&["mkdir", "mkdirat"]), "action": "SCMP_ACT_ALLOW"}],
    });
    assert_eq!(filtered(&["mkdir", "/new"], filter).ok(&["run", "ID"]), "errno 1\n");
    let unknown = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_Z80"]});
    filtered(&["exit", "0"], unknown).fails(&["run", "ID"], "SCMP_ARCH_Z80");
}

/// Calls that a small program needs.
fn all_but(left_out: &[&str]) -> Vec<&'static str> {
    let all = [
        "access",
        "arch_prctl",
        "brk",
        "capget",
        "capset",
        "chdir",
        "clone",
        "clone3",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "execve",
        "execveat",
        "exit",
        "exit_group",
        "faccessat",
        "faccessat2",
        "fchdir",
        "fchown",
        "fcntl",
        "fstat",
        "fstatfs",
        "futex",
        "getcwd",
        "getdents64",
        "getpid",
        "getppid",
        "getrandom",
        "gettid",
        "ioctl",
        "lseek",
        "madvise",
        "mkdir",
        "mkdirat",
        "mmap",
        "mprotect",
        "munmap",
        "newfstatat",
        "open",
        "openat",
        "openat2",
        "poll",
        "ppoll",
        "prctl",
        "pread64",
        "prlimit64",
        "read",
        "readlink",
        "readlinkat",
        "recvmsg",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sched_getaffinity",
        "sched_yield",
        "sendmsg",
        "sendto",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setgroups",
        "setresgid",
        "setresuid",
        "setuid",
        "sigaltstack",
        "stat",
        "statx",
        "tgkill",
        "umask",
        "uname",
        "wait4",
        "write",
        "writev",
        "epoll_create1",
        "epoll_ctl",
        "epoll_pwait",
        "eventfd2",
        "fadvise64",
        "getuid",
        "geteuid",
        "getgid",
        "getegid",
        "kill",
        "nanosleep",
        "pipe2",
        "statfs",
    ];
    all.into_iter().filter(|name| !left_out.contains(name)).collect()
}

/// What a profile could not know of answers as an older kernel does; what it could have named, as it says.
fn newer_calls_do_not_exist() {
    let names = all_but(&["mkdir", "mkdirat", "openat2", "faccessat2", "close_range", "clone3", "rseq", "statx"]);
    let filter = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]});
    assert_eq!(filtered(&["calls"], filter).ok(&["run", "ID"]), "mkdir errno 1\nlandlock errno 38\n");
}

/// Somebody who takes one listener, waits for a call that it is asked about, and goes.
struct Agent {
    path: String,
    thread: JoinHandle<(Value, String)>,
}

fn agent(bundle: &Bundle) -> Agent {
    let path = bundle.path("agent.sock");
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        let (connection, _) = socket.accept().unwrap();
        let mut buffer = vec![0; 64 << 10];
        let (length, fds) = sys::socket::receive(&connection, &mut buffer).unwrap();
        assert_eq!(fds.len(), 1);
        let kind = std::fs::read_link(format!("/proc/self/fd/{}", fds[0].as_raw_fd())).unwrap();
        let end: &OwnedFd = &fds[0];
        poll(&mut [PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN)], None).unwrap();
        (serde_json::from_slice(&buffer[..length]).unwrap(), kind.display().to_string())
    });
    Agent { path: path.to_str().unwrap().to_owned(), thread }
}

impl Agent {
    fn state(self) -> Value {
        let (state, kind) = self.thread.join().unwrap();
        assert_eq!(kind, "anon_inode:seccomp notify");
        state
    }
}

fn listening(names: &[&str], no_new_privileges: bool) -> (Bundle, Agent) {
    let bundle = Bundle::new(&["mkdir", "/new"]);
    let agent = agent(&bundle);
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": agent.path, "listenerMetadata": "some \"data\"",
        "syscalls": [calls(names, "SCMP_ACT_NOTIFY")],
    });
    let bundle = bundle.with(|spec| {
        spec["linux"]["seccomp"] = filter;
        spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
        spec["annotations"] = json!({"some": "thing"});
    });
    (bundle, agent)
}

fn a_listener_is_delivered() {
    for no_new_privileges in [true, false] {
        let (bundle, agent) = listening(&["mkdir", "mkdirat"], no_new_privileges);
        assert_eq!(bundle.ok(&["run", "ID"]), format!("{ENOSYS}\n"));
        let state = agent.state();
        assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("some \"data\"")), "{state}");
        let own = &state["state"];
        assert_eq!((&own["id"], &own["status"]), (&json!(bundle.id), &json!("creating")), "{state}");
        assert_eq!((&own["pid"], &own["annotations"]["some"]), (&state["pid"], &json!("thing")), "{state}");
        assert!(state["pid"].as_u64().unwrap() > 1 && state["ociVersion"].is_string() && own["bundle"].is_string(), "{state}");
    }
}

fn a_listener_is_delivered_at_start() {
    for no_new_privileges in [true, false] {
        let (bundle, agent) = listening(&["mkdir", "mkdirat"], no_new_privileges);
        bundle.ok(&["create", "--pid-file", "BUNDLE/pid", "ID"]);
        bundle.ok(&["start", "ID"]);
        let pid: u64 = std::fs::read_to_string(bundle.path("pid")).unwrap().parse().unwrap();
        assert_eq!(agent.state()["pid"], pid);
        bundle.until("stopped");
    }
}

/// Filters for the network hand over the very call that descriptors are passed with.
fn a_listener_may_ask_for_sendmsg() {
    let (bundle, agent) = listening(&["mkdir", "mkdirat", "sendmsg", "recvmsg", "connect"], true);
    assert_eq!(bundle.ok(&["run", "ID"]), format!("{ENOSYS}\n"));
    agent.state();
}

fn a_listener_of_exec_is_another() {
    let (bundle, first) = listening(&["mkdir", "mkdirat"], true);
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "mkdir-and-wait", "/new"]));
    bundle.ok(&["run", "-d", "ID"]);
    let pid = first.state()["pid"].clone();
    // With it the process would answer for itself.
    let open =
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    assert!(!open.map(|file| file.display().to_string()).any(|file| file.contains("seccomp")), "it has its own listener");
    let second = agent(&bundle);
    assert_eq!(bundle.ok(&["exec", "ID", "/probe", "mkdir", "/other"]), format!("{ENOSYS}\n"));
    let state = second.state();
    assert_eq!((&state["state"]["pid"], &state["state"]["status"]), (&pid, &json!("running")), "{state}");
    assert_ne!(state["pid"], pid);
}

fn a_listener_must_be_there() {
    let notify = |names: &[&str], more: Value| {
        let mut filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [calls(names, "SCMP_ACT_NOTIFY")]});
        filter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        filter
    };
    let nobody = json!({"listenerPath": "/nonsuch/socket"});
    for (filter, text) in [
        (notify(&["mkdir"], json!({})), "listener"),
        (notify(&["mkdir"], nobody.clone()), "no such file or directory"),
        (notify(&["write"], nobody.clone()), "SCMP_ACT_NOTIFY cannot be used for"),
        (
            notify(&["mkdir"], json!({"listenerPath": "/nonsuch", "defaultAction": "SCMP_ACT_NOTIFY"})),
            "SCMP_ACT_NOTIFY cannot be used as",
        ),
    ] {
        let bundle = filtered(&["exit", "0"], filter.clone());
        let said = bundle.call(&["run", "ID"]);
        assert_eq!(said.code, Some(1), "{filter}: {said:?}");
        assert!(said.err.to_lowercase().contains(&text.to_lowercase()), "{filter}: {said:?}");
        // At start it is init's end, too.
        if !foreign() && bundle.call(&["create", "ID"]).code == Some(0) {
            bundle.fails(&["start", "ID"], "/nonsuch");
            bundle.until("stopped");
            bundle.ok(&["delete", "ID"]);
        }
        assert!(bundle.left().is_empty());
    }
    // Not used, not needed.
    let unused = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonsuch/socket"});
    assert_eq!(filtered(&["say", "fine"], unused).ok(&["run", "ID"]), "fine\n");
}

fn has_landlock() -> bool {
    let abi = sys::landlock::abi();
    if abi < 6 {
        crate::skip(&format!("needs Landlock of ABI 6, here is {abi}"));
    }
    abi >= 6
}

fn ruled(words: &[&str], rules: &Value) -> Bundle {
    Bundle::new(words).with(|spec| spec["annotations"] = json!({"dev.rctr.landlock": rules.to_string()}))
}

/// What a dynamically linked probe needs, and one folder to write to.
fn rules() -> Value {
    json!({"abi": 6, "paths": [{"path": "/", "allow": ["read", "execute"]}, {"path": "/open", "allow": ["write"]}],
        "ports": {"bind": [7001]}, "scoped": ["abstract_unix_socket"]})
}

fn landlock_keeps_files_and_ports() {
    if !has_landlock() {
        return;
    }
    let run = |words: &[&str]| {
        let bundle = ruled(words, &rules());
        std::fs::create_dir(bundle.path("rootfs/open")).unwrap();
        bundle.ok(&["run", "ID"])
    };
    assert_eq!(run(&["mkdir", "/open/new"]), "done\n");
    assert_eq!(run(&["mkdir", "/new"]), "errno 13\n", "EACCES, though it is root");
    assert_eq!(run(&["bind", "7001"]), "done\n");
    assert_eq!(run(&["bind", "7002"]), "errno 13\n");
    assert_eq!(run(&["read", "/proc/self/comm"]), "probe\n");
    let off = Bundle::new(&["mkdir", "/new"]);
    assert_eq!(off.ok(&["run", "ID"]), "done\n");
}

/// Also beside a filter that permits none of it.
fn landlock_without_no_new_privileges() {
    if !has_landlock() {
        return;
    }
    for no_new_privileges in [true, false] {
        let bundle = ruled(&["mkdir", "/new"], &json!({"abi": 1, "handled": ["write"]})).with(|spec| {
            spec["process"]["noNewPrivileges"] = json!(no_new_privileges);
            spec["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                calls(&["landlock_restrict_self", "landlock_create_ruleset"], "SCMP_ACT_KILL_PROCESS")]});
        });
        assert_eq!(bundle.ok(&["run", "ID"]), "errno 13\n");
    }
}

fn landlock_holds_for_exec() {
    if !has_landlock() {
        return;
    }
    let bundle = ruled(&["wait"], &json!({"abi": 1, "handled": ["write"]}));
    bundle.ok(&["run", "-d", "ID"]);
    assert_eq!(bundle.ok(&["exec", "ID", "/probe", "mkdir", "/new"]), "errno 13\n");
    let process = json!({"args": ["/probe", "mkdir", "/new"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true});
    std::fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.ok(&["exec", "-p", "BUNDLE/process.json", "ID"]), "errno 13\n");
}

fn landlock_is_strict() {
    for (rules, text) in [
        (json!({"abi": 1, "pats": []}), "annotations.dev.rctr.landlock: unknown field `pats`"),
        (json!({"abi": 77}), "abi 77 is not between 1 and 6"),
        (json!("x"), "annotations.dev.rctr.landlock"),
    ] {
        let bundle = ruled(&["exit", "0"], &rules);
        bundle.fails(&["run", "ID"], text);
        assert!(bundle.left().is_empty());
    }
    if has_landlock() {
        let bundle = ruled(&["exit", "0"], &json!({"abi": 1, "paths": [{"path": "/nonsuch", "allow": ["read"]}]}));
        bundle.fails(&["run", "ID"], "Landlock: openat2(\"/nonsuch\"");
        assert!(bundle.left().is_empty());
        // No way into procfs's links: they would lead to files that are not the container's.
        let bundle = ruled(&["exit", "0"], &json!({"abi": 1, "paths": [{"path": "/proc/self/root/", "allow": ["read"]}]}));
        bundle.fails(&["run", "ID"], "ELOOP");
    }
}
