//! `rctr build` of repositories, and what its `RUN` has: limits, names, secrets.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use integration::env::{Env, within};
use integration::output::Output;

integration::tests![
    a_repository_as_context,
    repositories_that_are_added,
    repositories_that_cannot_be,
    what_run_has,
    a_secret_in_a_variable_is_in_no_file,
    flags_of_other_builders,
    programs_of_another_processor,
    on_a_terminal,
];

/// A server of git, and what it serves.
struct Git {
    server: Child,
    work: PathBuf,
    address: String,
}

impl Drop for Git {
    fn drop(&mut self) {
        // It has a process for each connection, which end by themselves.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Git {
    fn start(t: &Env) -> Self {
        let core = Command::new("git").arg("--exec-path").output().map(|output| output.stdout).unwrap_or_default();
        let daemon = Path::new(String::from_utf8_lossy(&core).trim()).join("git-daemon");
        if !daemon.exists() {
            integration::skip!("git daemon is not installed");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let (base, work) = (t.path("git"), t.path("work"));
        fs::create_dir_all(&base).expect("a folder");
        let mut server = t.command(&daemon);
        server.args(["--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}"), "--export-all"]);
        server.arg(format!("--base-path={}", base.display())).arg(&base).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().expect("git daemon");
        let git = Self { server, work, address: format!("git://127.0.0.1:{port}/app.git") };
        let made = Command::new("git").args(["init", "-q", "--bare", "-b", "main"]).arg(base.join("app.git")).status();
        assert!(made.is_ok_and(|status| status.success()), "git init");
        fs::create_dir_all(&git.work).expect("a folder");
        git.git(&["init", "-q", "-b", "main"]);
        git.git(&["remote", "add", "origin", &base.join("app.git").display().to_string()]);
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(within(std::time::Duration::from_secs(10), up), "git daemon does not answer");
        git
    }

    #[track_caller]
    fn git(&self, words: &[&str]) -> String {
        let own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").arg("-C").arg(&self.work).args(own).args(words).output().expect("git");
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits these files, and answers the commit's name.
    fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.work.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "x"]);
        self.git(&["push", "-q", "--tags", "origin", "HEAD:main"]);
        self.git(&["rev-parse", "HEAD"])
    }
}

#[track_caller]
fn build(t: &Env, context: &str, more: &[&str]) -> Output {
    let args = ["build", "--network", "none", "--progress", "plain", "-t", "made"];
    t.rctr(args.into_iter().chain(more.iter().copied()).chain([context]))
}

fn folder(t: &Env, dockerfile: &str) -> String {
    fs::create_dir_all(t.path("ctx")).expect("a folder");
    fs::write(t.path("ctx/Dockerfile"), dockerfile).expect("a Dockerfile");
    t.path("ctx").display().to_string()
}

#[track_caller]
fn says(t: &Env, line: &str) -> String {
    t.rctr(["run", "--rm", "--network", "none", "--entrypoint", "", "made", "sh", "-c", line]).ok().text().to_owned()
}

fn a_repository_as_context() {
    let t = Env::new();
    let git = Git::start(&t);
    let dockerfile = "FROM busybox\nCOPY . /c/\n";
    let first = git.commit(&[("Dockerfile", dockerfile), ("file", "one"), ("sub/Dockerfile", dockerfile), ("sub/x", "sub")]);
    git.git(&["tag", "v1"]);
    git.commit(&[("file", "two")]);
    build(&t, &git.address, &[]).ok();
    assert_eq!(says(&t, "cat /c/file; ls -A /c"), "twoDockerfile\nfile\nsub");
    // a tag, a commit that no branch has at its end, and its beginning
    for reference in ["v1", &first, &first[..10]] {
        build(&t, &format!("{}#{reference}", git.address), &[]).ok();
        assert_eq!(says(&t, "cat /c/file"), "one", "{reference}");
    }
    build(&t, &format!("{}#main:sub", git.address), &[]).ok();
    assert_eq!(says(&t, "ls -A /c"), "Dockerfile\nx");
    // whoever calls
    let mut masked = t.command("sh");
    masked.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(&integration::env::world().rctr);
    masked.args(["build", "-q", "--no-cache", "--network", "none", "-t", "made", &git.address]);
    integration::env::Running::start(masked).finish().ok();
    assert_eq!(says(&t, "stat -c %a /c/file /c/sub"), "644\n755");
    build(&t, &git.address, &["--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]).ok();
    assert_eq!(says(&t, "cat /c/.git/HEAD | wc -c"), "41");
    t.nothing_left();
}

fn repositories_that_are_added() {
    let t = Env::new();
    let git = Git::start(&t);
    let first = git.commit(&[("file", "one"), ("sub/x", "sub")]);
    let add = |words: &str| folder(&t, &format!("FROM busybox\nADD {words} /c/\n"));
    build(&t, &add(&git.address), &[]).ok();
    assert_eq!(says(&t, "cat /c/file; ls -A /c"), "onefile\nsub");
    build(&t, &add(&format!("{}#main:sub", git.address)), &[]).ok();
    assert_eq!(says(&t, "ls -A /c"), "x");
    build(&t, &add(&format!("--keep-git-dir=true {}", git.address)), &[]).ok();
    assert_eq!(says(&t, "cat /c/.git/HEAD"), first);
    build(&t, &add(&format!("--checksum={first} {}", git.address)), &[]).ok();
    build(&t, &add(&format!("--checksum=0123456789 {}", git.address)), &[]).code(1).complains(&[&first, "0123456789"]);
    // what is the same again is found in the cache, and what is not is not
    let line = format!("{}#main:sub", git.address);
    git.commit(&[("file", "two")]);
    let again = build(&t, &add(&line), &[]);
    assert!(again.ok().stderr.contains(" CACHED"), "{again}");
    git.commit(&[("sub/x", "other")]);
    build(&t, &add(&line), &[]).ok();
    assert_eq!(says(&t, "cat /c/x"), "other");
    t.nothing_left();
}

fn repositories_that_cannot_be() {
    let t = Env::new();
    let git = Git::start(&t);
    // Where git would follow hooks and links, if it were let.
    let escape = format!("../{}", t.path("outside").display());
    fs::create_dir_all(t.path("outside")).expect("a folder");
    fs::write(t.path("outside/Dockerfile"), "FROM busybox\n").expect("a file");
    fs::create_dir_all(&git.work).expect("a folder");
    std::os::unix::fs::symlink(t.path("outside"), git.work.join("link")).expect("a link");
    std::os::unix::fs::symlink(&escape, git.work.join("up")).expect("a link");
    let files = format!("[submodule \"s\"]\n\tpath = s\n\turl = {}\n", t.path("git/app.git").display());
    git.commit(&[("Dockerfile", "FROM busybox\n")]);
    for (fragment, why) in [("#:link", "no folder"), ("#:up", "no folder"), ("#:none", "no folder"), ("#nosuch", "nosuch")] {
        build(&t, &format!("{}{fragment}", git.address), &[]).fails(125, &["127.0.0.1", why]);
    }
    for (address, why) in [
        ("git://127.0.0.1:1/x.git", "127.0.0.1"),
        ("ssh://-oProxyCommand=touch/x.git", "host"),
        ("git@-x:y.git", "host"),
        ("https://a/b.git#--upload-pack=touch", "branch"),
    ] {
        build(&t, address, &[]).fails(125, &[why]);
    }
    build(&t, "ext::touch x", &[]).fails(125, &["ext::touch x"]);
    // a file of this host is no submodule
    fs::write(git.work.join(".gitmodules"), files).expect("a file");
    let head = git.git(&["rev-parse", "HEAD"]);
    git.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},s")]);
    git.git(&["add", ".gitmodules"]);
    git.git(&["commit", "-q", "-m", "x"]);
    git.git(&["push", "-q", "origin", "HEAD:main"]);
    build(&t, &git.address, &[]).fails(125, &["submodule", "not allowed"]);
    t.nothing_left();
    assert_eq!(fs::read_dir(t.root().join("images/making")).map_or(0, |entries| entries.count()), 0);
}

fn what_run_has() {
    let t = Env::new();
    let text = "FROM busybox\nRUN grep 10.1.2.3 /etc/hosts > /r; ulimit -n >> /r; df -k /dev/shm | tail -n1 | awk '{print $2}' >> /r; \
        cat /sys/fs/cgroup/memory.max >> /r 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes >> /r\n";
    let flags = ["--add-host", "db:10.1.2.3", "--ulimit", "nofile=77", "--shm-size", "1m", "--memory", "64m"];
    build(&t, &folder(&t, text), &flags).ok();
    let said = says(&t, "cat /r");
    assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" "), "10.1.2.3 db 77 1024 67108864");
    // how much it may use is no part of what it makes, and the rest is
    let again = build(&t, &folder(&t, text), &[&flags[..6], &["--memory", "128m"]].concat());
    assert!(again.ok().stderr.contains(" CACHED"), "{again}");
    let other = build(&t, &folder(&t, text), &[&flags[2..], &["--add-host", "db:10.1.2.3", "--add-host", "x:10.1.2.4"]].concat());
    assert!(!other.ok().stderr.contains(" CACHED"), "{other}");
    build(&t, &folder(&t, "FROM busybox\nRUN true\n"), &["--ulimit", "nofiles=1"]).code(1).complains(&["nofiles", "nofile"]);
    t.nothing_left();
}

/// Files below a folder that have these bytes in them.
fn with_bytes(folder: &Path, bytes: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(with_bytes(&entry.path(), bytes)),
            Ok(kind) if kind.is_file() && fs::read(entry.path()).is_ok_and(|text| contains(&text, bytes.as_bytes())) => {
                found.push(entry.path());
            }
            _ => {}
        }
    }
    found
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn a_secret_in_a_variable_is_in_no_file() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    fs::create_dir_all(t.path("ctx")).expect("a folder");
    let secret = "very-hidden-7261";
    fs::write(t.path("s"), secret).expect("a file");
    let text =
        "FROM busybox\nRUN --mount=type=secret,id=s,env=S test \"$S\" = very-hidden-7261 || exit 9; echo ready; sleep 1000\n";
    let context = folder(&t, &text.replace("very-hidden-7261", "very-hidden-$((7260+1))"));
    let mut command = t.command("sh");
    let flags = format!("--secret id=s,src={}", t.path("s").display());
    let rctr = integration::env::world().rctr.display();
    command.args(["-c", &format!("exec {rctr} build --network none --progress plain {flags} {context} 2>&1")]);
    let mut running = integration::env::Running::start(command);
    running.wait_for("ready\n");
    let containers = fs::read_dir(t.root().join("containers")).map_or(0, |entries| entries.count());
    assert_eq!(containers, 1);
    assert_eq!(with_bytes(&t.root(), secret), [""; 0].map(PathBuf::from));
    running.signal(rustix::process::Signal::INT);
    running.finish().code(1);
    t.nothing_left_soon();
    // neither in memory, when it has ended
    assert_eq!(with_bytes(t.run(), secret), [""; 0].map(PathBuf::from));
}

fn flags_of_other_builders() {
    let t = Env::new();
    let context = folder(&t, "FROM busybox\nRUN true\n");
    for (flags, why) in [
        (&["--cache-from", "type=gha"][..], "--cache-from"),
        (&["--cache-to", "type=gha"], "--cache-to"),
        (&["--provenance=true"], "--provenance"),
        (&["--sbom"], "--sbom"),
        (&["--builder", "other"], "--builder"),
    ] {
        build(&t, &context, flags).code(125).complains(&[why]);
    }
    build(&t, &context, &["--provenance=false", "--sbom=false", "--builder", "default"]).ok();
    t.nothing_left();
}

fn programs_of_another_processor() {
    let t = Env::new();
    let other = if std::env::consts::ARCH == "s390x" { "linux/ppc64le" } else { "linux/s390x" };
    let emulated =
        fs::read_dir("/proc/sys/fs/binfmt_misc").is_ok_and(|all| all.flatten().any(|entry| entry.file_name() == "qemu-s390x"));
    if emulated {
        integration::skip!("this host emulates s390x");
    }
    let context = folder(&t, "FROM scratch\nCOPY Dockerfile /x\nRUN [\"/x\"]\n");
    build(&t, &context, &["--platform", other]).code(1).complains(&[&other[6..], "emulator", "binfmt_misc"]);
    // what executes nothing needs none
    let context = folder(&t, "FROM scratch\nCOPY Dockerfile /x\n");
    build(&t, &context, &["--platform", other]).ok();
    t.rctr(["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "made"]).ok().says(&format!("{other}\n"));
    t.nothing_left();
}

fn on_a_terminal() {
    let t = Env::new();
    let context =
        folder(&t, "FROM busybox\nRUN echo first line; sleep 0.5; echo last; sleep 0.3\nRUN echo why it failed; exit 3\n");
    let command = t.rctr_command(["build", "--network", "none", &context]);
    let (code, screen) = integration::terminal::Terminal::start(&command, 70, 20).finish();
    assert_eq!(code, 1, "{screen}");
    for part in [
        "[+] Building ",
        "\u{1b}[J",
        " => => # first line",
        " => [1/3] FROM busybox ",
        " => ERROR [3/3] RUN echo why",
        "why it failed\r\n------",
    ] {
        assert!(screen.contains(part), "{part:?} in\n{screen}");
    }
    assert!(!screen.contains("Pull complete"), "{screen}");
    // what failed is said below the last frame
    let end = screen.rfind("[+] Building").unwrap_or_default();
    assert!(screen[end..].contains("rctr: Dockerfile:3"), "{screen}");
    t.nothing_left();
}
