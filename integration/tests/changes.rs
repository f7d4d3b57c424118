//! `diff`, `export`, and `import` of what was exported.

use std::fs;

use integration::env::Env;

integration::tests![differences, exported_and_imported, an_export_that_fails_leaves_nothing];

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

/// The same bytes whatever the layers are kept as, and whether it runs or not; and an image of it has the same files.
fn exported_and_imported() {
    let mut all = Vec::new();
    for driver in DRIVERS {
        let mut t = Env::new();
        t.use_driver(driver);
        let touched =
            "touch -d @1000000000 /new /made/deep/x /made/deep /made /t/changed /t/kept /t/opaque /t/sticky/own /t/sticky /t /";
        let script = format!("{SCRIPT}").replace("echo ready", &format!("{touched}; echo ready"));
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
