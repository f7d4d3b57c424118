//! Other hosts, by an ssh that stays here: another host is another root.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::env::{Env, Running, world};

integration::tests![images_are_copied, a_command_line_is_run_there, a_context_is_a_host];

/// As ssh does it, what comes after the host is one line for a shell there.
const SSH: &str = r#"#!/bin/sh
[ "$1" = -T ] && [ "$2" = -- ] && [ "$3" = root@there ] || { echo "no route to host" >&2; exit 255; }
[ -z "$HOP" ] || { echo "called from there" >&2; exit 255; }
shift 3
unset RCTR_HOST RCTR_CONTEXT
export HOP=1
export RCTR_ROOT=$THERE_ROOT RCTR_RUN=$THERE_RUN PATH=$THERE:$PATH
exec sh -c "$*"
"#;

fn hosts() -> Env {
    let mut t = Env::new();
    let program = |path: &str, text: &str| {
        let path = t.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    };
    program("bin/ssh", SSH);
    program("there/rctr", &format!("#!/bin/sh\nexec {} \"$@\"\n", world().rctr.display()));
    let path = std::env::var("PATH").unwrap_or_default();
    let (own, there) = (t.path("bin").display().to_string(), t.path("there").display().to_string());
    let (root, run) = (t.path("root-there").display().to_string(), t.run().join("there").display().to_string());
    for (name, value) in [("PATH", format!("{own}:{path}")), ("THERE", there), ("THERE_ROOT", root), ("THERE_RUN", run)] {
        t.set(name, &value);
    }
    t
}

fn images_are_copied() {
    let t = hosts();
    t.rctr(["image", "scp", "busybox", "root@there::"]).fails(125, &["busybox"]);
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["image", "scp", "-q", "busybox", "root@there::"]).ok().says("Loaded image: busybox:latest\n");
    let here = t.rctr(["images", "-q", "--no-trunc"]).ok().text().to_owned();
    assert!(!here.is_empty());
    assert_eq!(t.rctr(["-H", "ssh://root@there", "images", "-q", "--no-trunc"]).ok().text(), here);
    t.rctr(["rmi", "busybox"]).ok();
    t.rctr(["image", "scp", "-q", "root@there::busybox"]).ok().says("Loaded image: busybox:latest\n");
    assert_eq!(t.rctr(["images", "-q", "--no-trunc"]).ok().text(), here);
    t.rctr(["image", "scp", "-q", "root@there::busybox", "root@there::"]).ok().says("Loaded image: busybox:latest\n");
    t.rctr(["image", "scp", "-q", "root@there::nosuch:v1"]).code(125).complains(&["nosuch:v1", "root@there"]);
    t.rctr(["image", "scp", "-q", "busybox", "nowhere::"]).code(125).complains(&["no route to host", "rctr on nowhere", "255"]);
    t.rctr(["image", "scp", "busybox"]).fails(125, &["neither end"]);
    t.nothing_left();
}

fn a_command_line_is_run_there() {
    let mut t = hosts();
    let host = ["--host", "ssh://root@there"];
    let there = |words: &[&str]| t.rctr([&host, words].concat());
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["image", "scp", "-q", "busybox", "root@there::"]).ok();
    there(&["create", "--name", "only there", "busybox"]).code(125).complains(&["only there"]);
    there(&["create", "--name", "app", "--network", "none", "busybox", "sh", "-c", "echo \"it's $0\"; cat; exit 7", "me"]).ok();
    there(&["ps", "-a", "--format", "{{.Names}}"]).ok().says("app\n");
    t.rctr(["ps", "-aq"]).ok().says("");
    there(&["rm", "app"]).ok();
    let line = ["run", "--rm", "-i", "--network", "none", "busybox", "sh", "-c", "echo \"it's $0\"; cat; exit 7", "two words"];
    let said = t.rctr_with("typed here\n", [&host[..], &line].concat());
    said.code(7).says("it's two words\ntyped here\n");
    t.rctr(["-H", "ssh://nowhere", "ps"]).code(255).complains(&["no route"]);
    t.rctr(["--host", "tcp://there:2375", "ps"]).code(125).complains(&["--host", "ssh://"]);
    t.set("RCTR_HOST", "ssh://root@there");
    Running::start(t.rctr_command(["images", "--format", "{{.Repository}}"])).finish().ok().says("busybox\n");
    t.set("RCTR_HOST", "");
    t.nothing_left();
}

fn a_context_is_a_host() {
    let mut t = hosts();
    let config = t.path("config").display().to_string();
    t.set("RCTR_CONFIG", &config);
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["context", "create", "web", "--description", "the web", "--docker", "host=ssh://root@there"]).ok().says("web\n");
    t.rctr(["context", "create", "web"]).fails(125, &["web", "already"]);
    t.rctr(["context", "create", "far", "--docker", "host=tcp://there:2376"]).code(125).complains(&["--docker", "ssh://"]);
    // There are no images there.
    let images = ["images", "--format", "{{.Repository}}"];
    let by = |flags: &[&str]| t.rctr([flags, &images].concat());
    by(&[]).ok().says("busybox\n");
    by(&["--context", "web"]).ok().says("");
    by(&["--context=nosuch"]).code(125).complains(&["nosuch", "context ls"]);
    by(&["-c", "web", "--host", "ssh://root@there"]).code(125).complains(&["--host", "--context"]);
    t.rctr(["context", "use", "web"]).ok().says("web\n");
    // The same is used there, and leads nowhere else.
    by(&[]).ok().says("");
    by(&["-c", "default"]).ok().says("busybox\n");
    let line = "{{.Name}} {{.Current}} {{.DockerEndpoint}}";
    t.rctr(["context", "ls", "--format", line]).ok().says("default false \nweb true ssh://root@there\n");
    t.rctr(["context", "inspect", "-f", "{{.Endpoints.docker.Host}} {{.Metadata.Description}}"])
        .ok()
        .says("ssh://root@there the web\n");
    t.rctr(["context", "rm", "web"]).fails(125, &["web", "in use"]);
    t.rctr(["context", "rm", "-f", "web"]).ok().says("web\n");
    t.rctr(["context", "show"]).ok().says("default\n");
    by(&[]).ok().says("busybox\n");
    t.nothing_left();
}
