//! `diff`, `export`, `commit`, and `import` of what was exported.

use std::fs;

use integration::env::Env;

integration::tests![
    differences,
    exported_and_imported,
    an_export_that_fails_leaves_nothing,
    committed,
    committed_the_same_from_all_drivers,
    committed_while_it_runs,
    a_commit_that_fails_leaves_nothing,
];

const DRIVERS: [&str; 2] = ["tree", "erofs"];

/// Something of everything, in an image with whiteouts and opaque folders of its own.
const SCRIPT: &str = "echo new > /new; mkdir -p /made/deep; touch /made/deep/x; rm /t/kept/file; echo more >> /t/changed; \
                      chmod 700 /t/opaque; rm -r /t/sticky; mkdir /t/sticky; touch /t/sticky/own; cat /t/attribute > /dev/null; \
                      rm -r /t/becomes-folder; echo ready; [ -z \"$WAIT\" ] || sleep 1000";
const EXPECTED: &str = "A /made\nA /made/deep\nA /made/deep/x\nA /new\nC /t\nC /t/changed\nC /t/kept\nC /t/opaque\nC /t/sticky\n\
                        A /t/sticky/own\nD /t/becomes-folder\nD /t/kept/file\n";

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn differences() {
    for driver in DRIVERS {
        let mut t = Env::new();
        t.use_driver(driver);
        t.rctr([
            "run",
            "-d",
            "-e",
            "WAIT=1",
            "--network",
            "none",
            "--name",
            "app",
            "-v",
            "data:/data",
            "test/tree",
            "sh",
            "-c",
            SCRIPT,
        ])
        .ok();
        t.wait_for_log("app", "ready");
        let said = t.rctr(["diff", "app"]).ok().stdout.clone();
        // the place of the volume was made, and what is in the volume is not the container's
        let expected = format!("A /data\n{EXPECTED}");
        assert_eq!(sorted(&said), sorted(&expected), "{driver}");
        t.rctr(["exec", "app", "touch", "/data/x"]).ok();
        t.rctr(["rm", "-f", "app"]).ok();
        t.rctr(["run", "--network", "none", "--name", "app", "test/tree", "sh", "-c", SCRIPT]).ok();
        let said = t.rctr(["container", "diff", "app"]).ok().stdout.clone();
        assert_eq!(sorted(&said), sorted(EXPECTED), "{driver}");
        t.rctr(["rm", "app"]).ok();
        t.rctr(["create", "--name", "app", "test/tree", "true"]).ok();
        t.rctr(["diff", "app"]).ok().says("");
        t.rctr(["diff", "none"]).fails(125, &["no such container: none"]);
        t.rctr(["rm", "app"]).ok();
        t.nothing_left();
    }
}

fn tar(words: &[&str]) -> String {
    let out = std::process::Command::new("tar").args(words).output().expect("tar");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// What every container has below its image was made when its store was: gives it one time.
fn old_base(t: &Env) {
    for name in ["hosts", "hostname", "resolv.conf"] {
        let file = fs::File::options().write(true).open(t.root().join("base/etc").join(name)).expect("a file");
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).expect("a time");
    }
}

/// The same bytes whatever the layers are kept as, and whether it runs or not; and an image of it has the same files.
fn exported_and_imported() {
    let mut all = Vec::new();
    for driver in DRIVERS {
        let mut t = Env::new();
        t.use_driver(driver);
        t.rctr(["pull", "-q", "test/tree"]).ok();
        old_base(&t);
        let touched =
            "touch -d @1000000000 /new /made/deep/x /made/deep /made /t/changed /t/kept /t/opaque /t/sticky/own /t/sticky /t /";
        let script = SCRIPT.replace("echo ready", &format!("{touched}; echo ready"));
        t.rctr([
            "run",
            "-d",
            "-e",
            "WAIT=1",
            "--network",
            "none",
            "--name",
            "app",
            "--tmpfs",
            "/tmp",
            "test/tree",
            "sh",
            "-c",
            &script,
        ])
        .ok();
        t.wait_for_log("app", "ready");
        t.rctr(["exec", "app", "touch", "/tmp/mounted"]).ok();
        let path = |name: &str| t.path(name).display().to_string();
        t.rctr(["export", "-o", &path("running.tar"), "app"]).ok();
        t.rctr(["stop", "-t", "0", "app"]).ok();
        t.rctr(["export", "-o", &path("stopped.tar"), "app"]).ok();
        let (running, stopped) =
            (fs::read(t.path("running.tar")).expect("a file"), fs::read(t.path("stopped.tar")).expect("a file"));
        assert!(running == stopped, "{driver}: a running one is the same");
        let names = tar(&["-tvf", &path("stopped.tar")]);
        assert!(names.contains(" new\n") && names.contains(" t/opaque/new\n") && names.contains(" proc/\n"), "{names}");
        for hidden in ["tmp/mounted", "t/hidden", "t/kept/file\n", "t/becomes-folder", "t/opaque/old", "proc/self"] {
            assert!(!names.contains(&format!(" {hidden}")), "{hidden}\n{names}");
        }
        let image = t.rctr(["import", "-c", "CMD [\"sh\"]", &path("stopped.tar"), "made:v1"]);
        image.ok();
        let look = "find / -xdev -not -path '/proc/*' -not -path '/sys/*' -not -path '/dev/*' | sort; stat -c '%a %u:%g' /t/setuid /t/kept";
        let flat = t.rctr(["run", "--rm", "made:v1", "sh", "-c", look]).ok().stdout.clone();
        t.rctr(["rm", "app"]).ok();
        assert!(flat.contains("/made/deep/x\n") && flat.ends_with("4755 0:0\n711 1000:2000\n"), "{flat}");
        all.push(stopped);
        t.nothing_left();
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "the drivers agree");
}

fn an_export_that_fails_leaves_nothing() {
    let t = Env::new();
    t.rctr(["create", "--name", "app", "busybox"]).ok();
    t.rctr(["export", "-o", "out.tar", "none"]).fails(125, &["no such container: none"]);
    t.rctr(["export", "-o", "none/out.tar", "app"]).fails(125, &["none"]);
    let left = integration::leaks::files(&t.path("."), &|path| !path.contains("out.tar"));
    assert!(left.is_empty(), "{left:?}");
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn committed() {
    for driver in DRIVERS {
        let mut t = Env::new();
        t.use_driver(driver);
        t.rctr([
            "run",
            "--name",
            "app",
            "-e",
            "COLOUR=green",
            "-l",
            "own=1",
            "-v",
            "/volume",
            "--network",
            "none",
            "test/tree",
            "sh",
            "-c",
            SCRIPT,
        ])
        .ok();
        let change = ["-c", "CMD [\"cat\", \"/new\"]", "-c", "EXPOSE 80", "--change", "ENV SHAPE=round"];
        let words = ["commit", "-a", "Ada", "-m", "a message"].into_iter().chain(change).chain(["app", "made:v1"]);
        let id = t.rctr(words).ok().text().to_owned();
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        let shape = t.rctr(["image", "inspect", "made:v1"]).ok().json()[0].clone();
        let config = &shape["Config"];
        assert_eq!((shape["Id"].as_str(), shape["Author"].as_str()), (Some(id.as_str()), Some("Ada")));
        assert_eq!(config["Cmd"], serde_json::json!(["cat", "/new"]));
        assert_eq!((&config["Labels"]["own"], config["ExposedPorts"]["80/tcp"].is_object()), (&serde_json::json!("1"), true));
        assert!(
            config["Env"].to_string().contains("COLOUR=green") && config["Env"].to_string().contains("SHAPE=round"),
            "{config}"
        );
        assert!(config["Volumes"]["/volume"].is_object(), "{config}");
        t.rctr(["history", "--no-trunc", "made:v1"]).ok().has("a message");
        t.rctr(["rm", "-v", "app"]).ok();
        t.rctr(["run", "--rm", "--network", "none", "made:v1"]).ok().says("new\n");
        let look = "ls /t /t/kept /t/sticky /t/opaque /made/deep; stat -c %a /t/opaque; cat /t/changed; [ -e /t/becomes-folder ] || echo gone";
        let seen = t.rctr(["run", "--rm", "--network", "none", "made:v1", "sh", "-c", look]);
        seen.ok().has("/t/sticky:\nown\n").has("/t/opaque:\nnew\n").has("\n700\nuppermore\ngone\n").has("/made/deep:\nx\n");
        // nothing written: the same layers, and a name of its own
        t.rctr(["create", "--name", "app", "busybox"]).ok();
        t.rctr(["container", "commit", "app", "same"]).ok();
        let layers = |name: &str| t.rctr(["image", "inspect", "-f", "{{.RootFS.Layers}}", name]).ok().stdout.clone();
        assert_eq!(layers("same"), layers("busybox"));
        t.rctr(["rm", "app"]).ok();
        t.rctr(["rmi", "made:v1"]).ok();
        t.nothing_left();
    }
}

/// One layer, whatever those below it are kept as.
fn committed_the_same_from_all_drivers() {
    let mut all = Vec::new();
    for driver in DRIVERS {
        let mut t = Env::new();
        t.use_driver(driver);
        let touched =
            "touch -d @1000000000 /new /made/deep/x /made/deep /made /t/changed /t/kept /t/opaque /t/sticky/own /t/sticky /t /";
        let script = SCRIPT.replace("echo ready", touched);
        t.rctr(["run", "--name", "app", "--network", "none", "test/tree", "sh", "-c", &script]).ok();
        t.rctr(["commit", "app", "made"]).ok();
        all.push(t.rctr(["image", "inspect", "-f", "{{.RootFS.Layers}}", "made"]).ok().stdout.clone());
        t.rctr(["rm", "app"]).ok();
        t.nothing_left();
    }
    assert!(all.windows(2).all(|two| two[0] == two[1]), "{all:?}");
}

fn committed_while_it_runs() {
    let t = Env::new();
    t.rctr([
        "run",
        "-d",
        "--name",
        "app",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "echo there > /file; echo ready; sleep 1000",
    ])
    .ok();
    t.wait_for_log("app", "ready");
    for flags in [&[][..], &["--pause=false"], &["--no-pause"], &["-p"]] {
        t.rctr(["commit"].iter().chain(flags).chain(&["app", "made"])).ok();
        assert_eq!(t.inspect("app", "{{.State.Status}}"), "running");
        t.rctr(["run", "--rm", "--network", "none", "made", "cat", "/file"]).ok().says("there\n");
    }
    // one that is paused already stays so
    t.rctr(["pause", "app"]).ok();
    t.rctr(["commit", "app", "made"]).ok();
    assert_eq!(t.inspect("app", "{{.State.Status}}"), "paused");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn a_commit_that_fails_leaves_nothing() {
    let t = Env::new();
    t.rctr(["run", "--name", "app", "--network", "none", "busybox", "touch", "/.wh.odd"]).ok();
    t.rctr(["commit", "none", "made"]).fails(125, &["no such container: none"]);
    t.rctr(["commit", "-c", "VOLUME relative", "app", "made"]).fails(125, &["VOLUME relative"]);
    t.rctr(["commit", "-c", "RUN x", "app", "made"]).code(125).complains(&["RUN x", "CMD, ENTRYPOINT"]);
    t.rctr(["commit", "app", "Made"]).code(125).complains(&["Made"]);
    t.rctr(["commit", "app", "made"]).fails(125, &[".wh.odd"]);
    t.rctr(["images", "-q", "made"]).ok().says("");
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}
