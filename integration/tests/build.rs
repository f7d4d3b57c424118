//! `rctr build`: Dockerfiles as people write them, the cache, what goes wrong, and what must not be left.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use integration::env::Env;
use integration::output::Output;
use rustix::process::Signal;

integration::tests![
    notes_dockerfile,
    all_of_a_config,
    stages_and_copies,
    here_documents,
    arguments,
    on_build,
    mounts,
    ignored_files,
    links_out_of_the_context,
    owners_and_modes,
    the_cache,
    reproducible,
    outputs,
    standard_input,
    archives,
    programs_that_fail,
    mistakes,
    an_interrupted_build,
    a_killed_build,
    with_images_as_layers,
    a_layer_that_is_there_twice,
];

/// A context with these files.
fn context(t: &Env, files: &[(&str, &str)]) -> String {
    let folder = t.path("ctx");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    folder.display().to_string()
}

#[track_caller]
fn build(t: &Env, dockerfile: &str, more: &[&str]) -> Output {
    fs::create_dir_all(t.path("ctx")).expect("a folder");
    fs::write(t.path("ctx/Dockerfile"), dockerfile).expect("a Dockerfile");
    let context = t.path("ctx").display().to_string();
    let args = ["build", "--network", "none", "--progress", "plain", "-t", "made"];
    t.rctr(args.into_iter().chain(more.iter().copied()).chain([context.as_str()]))
}

/// What a program in the built image says.
#[track_caller]
fn says(t: &Env, line: &str) -> String {
    t.rctr(["run", "--rm", "--network", "none", "--entrypoint", "", "made", "sh", "-c", line]).ok().text().to_owned()
}

fn config(t: &Env) -> serde_json::Value {
    let text = t.rctr(["image", "inspect", "made"]);
    let all: serde_json::Value = serde_json::from_str(text.ok().text()).expect("JSON");
    all[0].clone()
}

fn layers(t: &Env) -> Vec<String> {
    let layers = config(t)["RootFS"]["Layers"].clone();
    serde_json::from_value(layers).expect("layers")
}

/// Lines that say that a step came from the cache.
fn cached(output: &Output) -> usize {
    output.stderr.lines().filter(|line| line.ends_with(" CACHED")).count()
}

fn notes_dockerfile() {
    let t = Env::new();
    context(&t, &[("app.js", "console.log(1)")]);
    build(&t, "FROM busybox\nCOPY app.js /app.js\nENTRYPOINT [\"cat\",\"app.js\"]\n", &[]).ok();
    t.rctr(["run", "--rm", "--network", "none", "made"]).ok().says("console.log(1)");
    let history = t.rctr(["history", "--no-trunc", "made"]);
    history.ok().has("COPY app.js /app.js").has("ENTRYPOINT [\"cat\" \"app.js\"]");
    let name = format!("{}/made:v1", integration::env::world().registry.address);
    t.rctr(["tag", "made", &name]).ok();
    t.rctr(["push", "-q", &name]).ok();
    t.rctr(["rmi", "-f", "made", &name]).ok();
    t.rctr(["builder", "prune", "-af"]).ok();
    t.rctr(["run", "--rm", "--network", "none", &name]).ok().says("console.log(1)");
    t.nothing_left();
}

fn all_of_a_config() {
    let t = Env::new();
    context(&t, &[]);
    let text = "FROM busybox\nENV A=1 B=\"two words\"\nENV C=$A-$B\nLABEL one=1 \"two words\"=$A\nEXPOSE 80 53/udp\nVOLUME /data\n\
        WORKDIR /srv\nWORKDIR sub\nUSER 1000:1000\nSTOPSIGNAL SIGQUIT\nHEALTHCHECK --interval=5s --retries=2 CMD true\n\
        SHELL [\"/bin/sh\", \"-ec\"]\nCMD echo $A\nMAINTAINER me\n";
    build(&t, text, &["--label", "three=3"]).ok();
    let config = config(&t);
    let own = &config["Config"];
    let env: Vec<String> = serde_json::from_value(own["Env"].clone()).expect("variables");
    assert_eq!(env[1..], ["A=1", "B=two words", "C=1-two words"]);
    assert_eq!(own["Labels"], serde_json::json!({"one": "1", "two words": "1", "three": "3"}));
    assert_eq!(own["ExposedPorts"], serde_json::json!({"80/tcp": {}, "53/udp": {}}));
    assert_eq!(
        (&own["WorkingDir"], &own["User"], &own["StopSignal"]),
        (&"/srv/sub".into(), &"1000:1000".into(), &"SIGQUIT".into())
    );
    assert_eq!(own["Cmd"], serde_json::json!(["/bin/sh", "-ec", "echo $A"]));
    assert_eq!(own["Healthcheck"]["Interval"], 5_000_000_000_u64);
    t.rctr(["run", "--rm", "--network", "none", "made", "sh", "-c", "pwd; id -u; echo $C"])
        .ok()
        .says("/srv/sub\n1000\n1-two words\n");
    t.nothing_left();
}

fn stages_and_copies() {
    let t = Env::new();
    context(&t, &[("src/a.c", "a"), ("src/sub/b.c", "b"), ("README.md", "r")]);
    let text = "FROM busybox AS base\nRUN mkdir /out && echo built > /out/file && ln -s file /out/link\n\
        FROM nosuch.invalid/never:pulled AS unused\nRUN false\n\
        FROM scratch AS files\nCOPY src /copied/\nCOPY --parents src/sub/b.c /parents/\n\
        FROM base\nCOPY --from=base /out /from/\nCOPY --from=files / /all\nCOPY --from=1 none* /x/\n";
    let failed = build(&t, text, &[]);
    failed.code(1).complains(&["never:pulled"]);
    let text = text.replace("COPY --from=1 none* /x/\n", "COPY --link README.md /linked/\nCOPY --exclude=*.c src /few/\n");
    let output = build(&t, &text, &[]);
    assert!(!output.stderr.contains("unused"), "{output}");
    output.ok();
    assert_eq!(
        says(&t, "cat /from/link; cat /all/copied/a.c /all/parents/src/sub/b.c /linked/README.md; ls /few /few/sub"),
        "built\nabr/few:\nsub\n\n/few/sub:\nb.c"
    );
    build(&t, &text, &["--target", "files"]).ok();
    assert_eq!(layers(&t).len(), 2);
    t.nothing_left();
}

fn here_documents() {
    let t = Env::new();
    context(&t, &[]);
    let text = "FROM busybox\nARG WHO=me\nRUN <<EOF\necho one > /a\necho two >> /a\nEOF\nRUN <<'EOF'\n#!/bin/cat\nnot run $WHO\nEOF\n\
        RUN cat <<A > /b && cat <<B > /c\nis a\nA\nis b\nB\nCOPY <<-T <<\"U\" /files/\n\tfor $WHO\n\tT\nfor $WHO\nU\n";
    let output = build(&t, text, &[]);
    output.ok();
    assert!(output.stderr.contains("not run $WHO"), "{output}");
    assert_eq!(
        says(&t, "cat /a /b /c /files/T /files/U; ls /dev/pipes 2>&1 | tail -n1"),
        "one\ntwo\nis a\nis b\nfor me\nfor $WHO\nls: /dev/pipes: No such file or directory"
    );
    t.nothing_left();
}

fn arguments() {
    let t = Env::new();
    context(&t, &[]);
    let text = "ARG BASE=busybox\nARG GLOBAL=g\nFROM $BASE\nARG GLOBAL\nARG OWN=default\nARG TARGETARCH\nENV KEPT=$OWN\n\
        RUN echo $GLOBAL $OWN $TARGETARCH $HTTP_PROXY ${KEPT} > /a\nRUN env > /env\n";
    let output = build(&t, text, &["--build-arg", "OWN=given", "--build-arg", "HTTP_PROXY=http://p", "--build-arg", "NONE=x"]);
    output.ok();
    assert!(output.stderr.contains("[NONE] were not consumed"), "{output}");
    let arch = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    assert_eq!(says(&t, "cat /a; grep -c KEPT=given /env; echo $OWN$HTTP_PROXY"), format!("g given {arch} http://p given\n1"));
    // another value is another step, another proxy is not
    let again = build(&t, text, &["--build-arg", "OWN=given", "--build-arg", "HTTP_PROXY=http://q"]);
    assert_eq!(cached(&again), 2, "{again}");
    let other = build(&t, text, &["--build-arg", "OWN=other", "--build-arg", "HTTP_PROXY=http://q"]);
    assert_eq!(cached(&other), 0, "{other}");
    t.nothing_left();
}

fn on_build() {
    let t = Env::new();
    context(&t, &[("a", "triggered")]);
    build(&t, "FROM busybox\nONBUILD COPY a /a\nONBUILD RUN echo ran > /b\n", &["-t", "parent"]).ok();
    build(&t, "FROM parent\n", &[]).ok();
    assert_eq!(says(&t, "cat /a /b"), "triggeredran");
    assert!(config(&t)["Config"]["OnBuild"].is_null());
    t.nothing_left();
}

fn mounts() {
    let t = Env::new();
    context(&t, &[("in/file", "from context"), ("secret", "hidden")]);
    let secret = format!("id=s,src={}", t.path("ctx/secret").display());
    let text = "FROM busybox AS other\nRUN echo other > /o\nFROM busybox\n\
        RUN --mount=type=bind,source=in,target=/ctx cat /ctx/file > /a && ! touch /ctx/x\n\
        RUN --mount=type=bind,from=other,source=/o,target=/deep/o cat /deep/o >> /a\n\
        RUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x && mount | grep -q ' /t type tmpfs'\n\
        RUN --mount=type=secret,id=s cat /run/secrets/s | tr a-z A-Z >> /a\n\
        RUN --mount=type=secret,id=s,env=S echo -n $S | wc -c >> /a\n\
        RUN --mount=type=cache,target=/cache echo x >> /cache/n && wc -l < /cache/n >> /a\n";
    build(&t, text, &["--secret", &secret]).ok();
    assert_eq!(says(&t, "cat /a; ls -d /ctx /deep /t /cache /run/secrets 2>/dev/null; true"), "from contextother\nHIDDEN6\n1");
    let again = build(&t, text, &["--secret", &secret, "--no-cache"]);
    again.ok();
    assert_eq!(says(&t, "tail -n1 /a"), "2");
    build(&t, "FROM busybox\nRUN --mount=type=secret,id=no,required true\n", &[]).code(1).complains(&["secret no not found"]);
    t.nothing_left();
}

fn ignored_files() {
    let t = Env::new();
    context(&t, &[("a.txt", "a"), ("b.md", "b"), ("d/keep", "k"), ("d/x", "x"), (".dockerignore", "# c\n*.txt\nd\n!d/keep\n")]);
    build(&t, "FROM busybox\nCOPY . /c/\n", &[]).ok();
    assert_eq!(says(&t, "cd /c; find . -type f | sort"), "./.dockerignore\n./Dockerfile\n./b.md\n./d/keep");
    build(&t, "FROM busybox\nCOPY a.txt /\n", &[]).code(1).complains(&["a.txt", "not found", "dockerignore"]);
    fs::write(t.path("ctx/Dockerfile.dockerignore"), "*\n!b.md\n").expect("rules");
    build(&t, "FROM busybox\nCOPY . /c/\n", &[]).ok();
    assert_eq!(says(&t, "cd /c; find . -type f"), "./b.md");
    t.nothing_left();
}

fn links_out_of_the_context() {
    let t = Env::new();
    context(&t, &[("a", "inside")]);
    symlink("/etc/shadow", t.path("ctx/shadow")).expect("a link");
    symlink("../../../../../../etc", t.path("ctx/up")).expect("a link");
    symlink("a", t.path("ctx/good")).expect("a link");
    for source in ["shadow", "up/shadow", "../../../etc/shadow"] {
        build(&t, &format!("FROM scratch\nCOPY {source} /x\n"), &[]).code(1).complains(&["not found"]);
        build(&t, &format!("FROM scratch\nADD {source} /x\n"), &[]).code(1).complains(&["not found"]);
    }
    // what is meant is followed, what is in a folder stays a link
    build(&t, "FROM busybox\nCOPY good /x\nCOPY . /all\n", &[]).ok();
    assert_eq!(says(&t, "cat /x; readlink /all/shadow"), "inside/etc/shadow");
    // a link in the image leads nowhere but into the image
    let text = "FROM busybox\nRUN ln -s /../../../../var/tmp /out && ln -s / /root-link && ln -s gone/deep /dangling\nCOPY a /out/escaped\nCOPY a /root-link/below\nCOPY a /dangling/x\n";
    build(&t, text, &[]).ok();
    assert_eq!(says(&t, "cat /var/tmp/escaped /below /gone/deep/x"), "insideinsideinside");
    assert!(!PathBuf::from("/var/tmp/escaped").exists());
    t.nothing_left();
}

fn owners_and_modes() {
    let t = Env::new();
    context(&t, &[("d/f", "x"), ("g", "y")]);
    let text = "FROM busybox\nCOPY --chown=app:app --chmod=0640 d /d\nCOPY --chown=7 g /g\nCOPY --chmod=u=rwx,go=rx g /h\n\
        COPY --chown=8:9 g /new/folder/\n";
    build(&t, text, &[]).ok();
    let stat = says(&t, "stat -c '%n %u:%g %a' /d/f /g /h /new /new/folder/g");
    assert_eq!(stat, "/d/f 1000:1000 640\n/g 7:7 644\n/h 0:0 755\n/new 8:9 755\n/new/folder/g 8:9 644");
    build(&t, "FROM busybox\nCOPY --chown=nobodyknows g /\n", &[]).code(1).complains(&["nobodyknows", "/etc/passwd"]);
    t.nothing_left();
}

fn the_cache() {
    let t = Env::new();
    context(&t, &[("one", "1"), ("two", "2")]);
    let text =
        "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /now\nCOPY one /\nRUN cat /one\nCOPY two /\nRUN true\nLABEL x=y\n";
    build(&t, text, &[]).ok();
    let (first, id) = (layers(&t), config(&t)["Id"].clone());
    // two of the steps have changed nothing
    assert_eq!(first.len(), 4);
    let again = build(&t, text, &[]);
    again.ok();
    assert_eq!(cached(&again), 5, "{again}");
    assert_eq!(layers(&t), first);
    // nothing new, and the same image
    assert_eq!(config(&t)["Id"], id);
    fs::write(t.path("ctx/two"), "changed").expect("a file");
    let changed = build(&t, text, &[]);
    changed.ok();
    assert_eq!(cached(&changed), 3, "{changed}");
    assert_eq!(layers(&t)[..3], first[..3]);
    let anew = build(&t, text, &["--no-cache"]);
    anew.ok();
    assert_eq!(cached(&anew), 0, "{anew}");
    assert_ne!(layers(&t)[1], first[1]);
    t.rctr(["rmi", "-f", "made"]).ok();
    assert_eq!(cached(&build(&t, text, &[])), 5);
    t.rctr(["rmi", "-f", "made"]).ok();
    t.rctr(["builder", "prune", "-f"]).ok().has("RUN cat /proc").has("Total reclaimed space");
    assert_eq!(cached(&build(&t, text, &[])), 0);
    t.nothing_left();
}

fn reproducible() {
    let mut t = Env::new();
    t.set("SOURCE_DATE_EPOCH", "1000000000");
    context(&t, &[("d/a", "1"), ("d/b", "2")]);
    let text = "FROM busybox\nRUN mkdir /x && echo 1 > /x/a && ln /x/a /x/b && rm /bin/vi\nCOPY d /d\nWORKDIR /made/here\n";
    let id = |t: &Env| t.rctr(["image", "inspect", "-f", "{{.Id}}", "made"]).ok().text().to_owned();
    build(&t, text, &["--no-cache"]).ok();
    let first = id(&t);
    assert_eq!(says(&t, "stat -c %Y /x/a /d/a"), "1000000000\n1000000000");
    let _ = t.rctr(["rmi", "-f", "made"]);
    fs::File::options()
        .write(true)
        .open(t.path("ctx/d/a"))
        .and_then(|file| file.set_modified(std::time::SystemTime::now()))
        .expect("a time");
    build(&t, text, &["--no-cache"]).ok();
    assert_eq!(id(&t), first);
    t.nothing_left();
}

fn outputs() {
    let t = Env::new();
    context(&t, &[("a", "content")]);
    let text = "FROM scratch\nCOPY a /d/a\n";
    let folder = t.path("out").display().to_string();
    build(&t, text, &["-o", &folder]).ok();
    assert_eq!(fs::read_to_string(t.path("out/d/a")).expect("a file"), "content");
    let tar = format!("type=tar,dest={}", t.path("x.tar").display());
    build(&t, text, &["-o", &tar]).ok();
    assert!(fs::read(t.path("x.tar")).expect("an archive").windows(7).any(|bytes| bytes == b"content"));
    t.rctr(["image", "inspect", "made"]).code(125);
    let oci = format!("type=oci,dest={}", t.path("x.oci").display());
    let (ids, metadata) = (t.path("id").display().to_string(), t.path("meta.json").display().to_string());
    build(&t, text, &["-o", &oci, "--iidfile", &ids, "--metadata-file", &metadata]).ok();
    let id = fs::read_to_string(&ids).expect("an id");
    assert!(fs::read_to_string(&metadata).expect("metadata").contains(&id));
    t.rctr(["rmi", "-f", "made"]).ok();
    t.rctr(["load", "-i", &t.path("x.oci").display().to_string()]).ok();
    t.rctr(["image", "inspect", "-f", "{{.Id}}", "made"]).ok().says(&format!("{id}\n"));
    let quiet = t.rctr(["build", "-q", &t.path("ctx").display().to_string()]);
    quiet.ok().says(&format!("{id}\n")).says_aside("");
    t.nothing_left();
}

fn standard_input() {
    let t = Env::new();
    let folder = context(&t, &[("a", "content")]);
    t.rctr_with("FROM busybox\nRUN echo in > /a\n", ["build", "--network", "none", "-t", "made", "-"]).ok();
    assert_eq!(says(&t, "cat /a"), "in");
    t.rctr_with("FROM busybox\nCOPY a /b\n", ["build", "-t", "made", "-f", "-", &folder]).ok();
    assert_eq!(says(&t, "cat /b"), "content");
    let mut command = t.command("sh");
    let line = format!("{} build -q -t made - < {}", integration::env::world().rctr.display(), t.path("ctx.tgz").display());
    fs::write(t.path("ctx/Dockerfile"), "FROM busybox\nCOPY a /from-archive\n").expect("a Dockerfile");
    let archive = std::process::Command::new("tar").args(["-C", &folder, "-czf", "-", "."]).output().expect("tar");
    fs::write(t.path("ctx.tgz"), archive.stdout).expect("an archive");
    command.args(["-c", &line]);
    integration::env::Running::start(command).finish().ok();
    assert_eq!(says(&t, "cat /from-archive"), "content");
    t.rctr_with("FROM busybox\nCOPY a /b\n", ["build", "-"]).code(1).complains(&["no build context"]);
    t.nothing_left();
}

/// `ADD` unpacks archives, whatever the usual tools have compressed them with; what only looks like one is a file.
fn archives() {
    let t = Env::new();
    let folder = context(&t, &[("in/file", "content")]);
    fs::write(t.path("ctx/broken.tar.xz"), b"\xfd7zXZ\0 and no more").expect("a file");
    for (ending, option) in [("tar", "-c"), ("gz", "-cz"), ("xz", "-cJ"), ("bz2", "-cj")] {
        let mut tar = std::process::Command::new("tar");
        let made = tar.current_dir(&folder).args([option, "-f", &format!("a.{ending}"), "in"]).output().expect("tar");
        if !made.status.success() {
            integration::skip!("needs tar, gzip, xz and bzip2: {}", String::from_utf8_lossy(&made.stderr));
        }
    }
    let add = "ADD a.tar /1/\nADD a.gz /2/\nADD a.xz /3/\nADD a.bz2 /4/\nADD broken.tar.xz /5/\n";
    build(&t, &format!("FROM busybox\n{add}"), &[]).ok();
    assert_eq!(says(&t, "cat /1/in/file /2/in/file /3/in/file /4/in/file && ls /5"), "contentcontentcontentcontentbroken.tar.xz");
}

fn programs_that_fail() {
    let t = Env::new();
    context(&t, &[]);
    let failed = build(&t, "FROM busybox\n\nRUN echo said; \\\n  exit 7\n", &[]);
    failed
        .code(1)
        .complains(&["Dockerfile:3", "process \"/bin/sh -c echo said;   exit 7\" did not complete successfully: exit code: 7"]);
    assert!(failed.stderr.contains("3 | RUN echo said; \\\n  | ^^^") && failed.stderr.contains("said\n"), "{failed}");
    build(&t, "FROM busybox\nRUN [\"/no/such\"]\n", &[]).code(1).complains(&["Dockerfile:2", "/no/such"]);
    build(&t, "FROM busybox\nUSER nobodyknows\nRUN true\n", &[]).code(1).complains(&["nobodyknows"]);
    t.rctr(["image", "inspect", "made"]).code(125);
    t.nothing_left();
}

fn mistakes() {
    let t = Env::new();
    context(&t, &[("a", "1")]);
    for (text, problem) in [
        ("", "no instructions"),
        ("RNU x", "Dockerfile:1: unknown instruction: RNU (did you mean RUN?)"),
        ("RUN x", "no build stage"),
        ("FROM busybox\nCOPY --form=x a b", "unknown flag: --form"),
        ("FROM busybox\nCOPY a a b", "must be a directory and end with a /"),
        ("FROM busybox\nCOPY --from=two a b\nFROM busybox AS two\nCOPY --from=0 a b", "circular dependency"),
        ("FROM busybox\nSTOPSIGNAL nonsense", "nonsense"),
        ("FROM busybox\nENV A=\"${B:?must be set}\"", "B: must be set"),
        ("FROM busybox\nEXPOSE 70000", "a port is a number"),
        ("FROM busybox\nRUN --network=other true", "default, none or host"),
        ("FROM busybox\nRUN --security=insecure true", "--allow security.insecure"),
        ("FROM busybox\nRUN --device=a.com/b=c true", "--allow device"),
        ("FROM busybox\nRUN --device=required true", "a name is missing"),
        ("FROM busybox\nCOPY a /bin", "a folder is there"),
        ("FROM busybox\nCOPY a /etc/passwd/x", "no folder"),
    ] {
        let text = if text.contains("COPY a /bin") { "FROM busybox\nRUN mkdir -p /z/a\nCOPY a /z/" } else { text };
        build(&t, text, &[]).code(1).complains(&[problem]);
    }
    let big = "RUN true\n".repeat(1_200_000);
    build(&t, &format!("FROM busybox\n{big}"), &[]).code(1).complains(&["at most 2 MiB"]);
    build(&t, "FROM busybox", &["--target", "none"]).code(1).complains(&["target stage \"none\""]);
    t.rctr(["build", &t.path("nowhere").display().to_string()]).fails(125, &["it is no folder"]);
    t.rctr(["build", "https://example.invalid/x.git"]).fails(125, &["fetch https://example.invalid/x.git"]);
    t.nothing_left();
}

fn an_interrupted_build() {
    let t = Env::new();
    context(&t, &[]);
    fs::write(t.path("ctx/Dockerfile"), "FROM busybox\nRUN echo ready; sleep 1000\n").expect("a Dockerfile");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let mut command = t.command("sh");
    let line = format!(
        "exec {} build --network none --progress plain {} 2>&1",
        integration::env::world().rctr.display(),
        t.path("ctx").display()
    );
    command.args(["-c", &line]);
    let mut running = integration::env::Running::start(command);
    running.wait_for("ready\n");
    running.signal(Signal::INT);
    running.finish().code(1).has("CANCELED").has("canceled");
    t.nothing_left_soon();
}

fn a_killed_build() {
    let t = Env::new();
    context(&t, &[]);
    fs::write(t.path("ctx/Dockerfile"), "FROM busybox\nRUN echo ready; sleep 1000\n").expect("a Dockerfile");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let mut command = t.command("sh");
    let line = format!(
        "exec {} build --network none --progress plain {} 2>&1",
        integration::env::world().rctr.display(),
        t.path("ctx").display()
    );
    command.args(["-c", &line]);
    let mut running = integration::env::Running::start(command);
    running.wait_for("ready\n");
    running.kill();
    // what it has left is found by its label, and by its lock
    t.rctr(["builder", "prune", "-af"]).ok();
    t.nothing_left_soon();
    assert_eq!(fs::read_dir(t.root().join("images/making")).expect("a folder").count(), 0);
}

fn with_images_as_layers() {
    for driver in ["tree", "erofs"] {
        let t = Env::with_driver(driver);
        context(&t, &[("a", "1")]);
        build(&t, "FROM busybox\nRUN rm -r /home && mkdir /home && echo new > /home/x && echo >> /etc/passwd\nCOPY a /home/\nRUN cat /home/a /home/x\n", &[]).ok();
        assert_eq!(says(&t, "ls /home"), "a\nx", "{driver}");
        t.nothing_left();
    }
}

/// What was taken away and put there again, byte for byte.
fn a_layer_that_is_there_twice() {
    for driver in ["tree", "erofs"] {
        let t = Env::with_driver(driver);
        context(&t, &[("a", "again")]);
        let text = "FROM busybox\nCOPY a /d/a\nRUN rm -r /d && mkdir /d && echo > /d/b\nCOPY a /d/a\nRUN cat /d/a /d/b\n";
        build(&t, text, &["--build-arg", "SOURCE_DATE_EPOCH=1700000000"]).ok();
        let layers = layers(&t);
        assert_eq!(layers[layers.len() - 1], layers[layers.len() - 3], "{driver}");
        assert_eq!(says(&t, "cat /d/a; ls /d"), "againa\nb", "{driver}");
        let path = t.rctr(["image", "mount", "made"]).ok().text().to_owned();
        assert_eq!(fs::read_to_string(format!("{path}/d/a")).expect("a file"), "again", "{driver}");
        t.rctr(["image", "unmount", "made"]).ok();
        t.nothing_left();
    }
}
