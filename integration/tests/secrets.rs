//! `rctr secret`, and `--secret` of containers.

use std::os::unix::fs::PermissionsExt;

use integration::env::Env;

integration::tests![kept_and_removed, seen_in_containers, in_no_record, what_cannot_be];

fn make(t: &Env, name: &str, text: &str) -> String {
    let made = t.rctr_with(text, ["secret", "create", name, "-"]);
    made.ok().text().to_owned()
}

fn kept_and_removed() {
    let t = Env::new();
    t.rctr(["secret", "ls", "-q"]).ok().says("");
    let id = make(&t, "db", "one");
    assert_eq!(id.len(), 25);
    t.rctr_with("two", ["secret", "create", "db", "-"]).fails(125, &["db", "--replace"]);
    t.rctr_with("two", ["secret", "create", "--replace", "-l", "a=b", "db", "-"]).ok().says(&format!("{id}\n"));
    t.rctr(["secret", "ls", "--format", "{{.ID}} {{.Name}} {{.Driver}}"]).ok().says(&format!("{id} db file\n"));
    t.rctr(["secret", "ls", "--filter", "name=x", "-q"]).ok().says("");
    let shown = t.rctr(["secret", "inspect", &id[..5]]).ok().json();
    assert_eq!((&shown[0]["Spec"]["Name"], &shown[0]["Spec"]["Labels"]["a"]), (&"db".into(), &"b".into()));
    assert!(!shown.to_string().contains("two"));
    t.rctr(["secret", "inspect", "--showsecret", "-f", "{{.SecretData}}", "db"]).ok().says("two\n");
    let mode = std::fs::metadata(t.root().join("secrets/db")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    t.rctr(["secret", "rm", "db", "none"]).code(125).has(&id).complains(&["no such secret: none"]);
    t.rctr(["secret", "rm", "-i", "none"]).ok();
    let mut with = t.rctr_command(["secret", "create", "--env", "own", "OWN"]);
    with.env("OWN", "x");
    integration::env::Running::start(with).finish().ok();
    t.rctr(["secret", "rm", "-a"]).ok();
    t.rctr(["secret", "ls", "-q"]).ok().says("");
    t.nothing_left();
}

fn seen_in_containers() {
    let t = Env::new();
    make(&t, "db", "hidden");
    let run = |flags: &[&str], line: &str| {
        let begin = ["run", "--rm", "--network", "none"];
        let end = ["busybox", "sh", "-c", line];
        t.rctr(begin.iter().chain(flags).chain(&end)).ok().text().to_owned()
    };
    assert_eq!(run(&["--secret", "db"], "cat /run/secrets/db; stat -c ' %a %u %g' /run/secrets/db"), "hidden 444 0 0");
    assert_eq!(
        run(&["--secret", "db,target=/etc/pw,uid=7,gid=8,mode=400"], "cat /etc/pw; stat -c ' %a %u %g' /etc/pw"),
        "hidden 400 7 8"
    );
    assert_eq!(run(&["--secret", "db,type=env,target=PW", "-e", "PW=no"], "echo $PW"), "hidden");
    assert_eq!(run(&["--secret", "db"], "echo x > /run/secrets/db && echo written; true"), "");
    // exec and checks have it, and another start has what it is then
    t.start([
        "--name",
        "s",
        "--network",
        "none",
        "--secret",
        "db,type=env,target=PW",
        "--secret",
        "db",
        "busybox",
        "sleep",
        "1000",
    ]);
    t.rctr(["exec", "s", "sh", "-c", "echo $PW; cat /run/secrets/db"]).ok().says("hidden\nhidden");
    t.rctr_with("other", ["secret", "create", "--replace", "db", "-"]).ok();
    t.rctr(["restart", "-t", "0", "s"]).ok();
    t.rctr(["exec", "s", "sh", "-c", "echo $PW; cat /run/secrets/db"]).ok().says("other\nother");
    t.rctr(["rm", "-f", "s"]).ok();
    t.rctr(["secret", "rm", "-a"]).ok();
    t.nothing_left();
}

fn in_no_record() {
    let t = Env::new();
    make(&t, "db", "hidden-4711");
    t.start(["--name", "s", "--network", "none", "--secret", "db,type=env", "--secret", "db", "busybox", "sleep", "1000"]);
    let inspected = t.rctr(["inspect", "s"]);
    assert!(!inspected.ok().stdout.contains("hidden-4711"), "{inspected}");
    let id = t.inspect("s", "{{.Id}}");
    let record = std::fs::read_to_string(t.root().join("containers").join(id).join("config.json")).expect("the record");
    assert!(!record.contains("hidden-4711") && record.contains("\"db\""), "{record}");
    t.rctr(["commit", "s", "made"]).ok();
    let committed = t.rctr(["run", "--rm", "--network", "none", "made", "sh", "-c", "cat /run/secrets/db; env"]);
    assert!(!committed.ok().stdout.contains("hidden-4711"), "{committed}");
    t.rctr(["rm", "-f", "s"]).ok();
    t.rctr(["secret", "rm", "-a"]).ok();
    t.nothing_left();
}

fn what_cannot_be() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    for name in ["../x", ".new-x", "a b", "-"] {
        t.rctr_with("x", ["secret", "create", "--", name, "-"]).code(125).complains(&["secret"]);
    }
    t.rctr_with("", ["secret", "create", "empty", "-"]).fails(125, &["empty", "0 bytes"]);
    t.rctr_with(&"x".repeat(512_001), ["secret", "create", "long", "-"]).fails(125, &["long", "512000"]);
    t.rctr(["secret", "create", "a", "/nonsuch"]).fails(125, &["/nonsuch"]);
    let run = |secret: &str| t.rctr(["run", "--rm", "--network", "none", "--secret", secret, "busybox", "true"]);
    run("none").fails(125, &["no such secret: none"]);
    run("none,mode=9").code(125).complains(&["--secret", "mode"]);
    make(&t, "own", "x");
    t.rctr(["create", "--name", "s", "--network", "none", "--secret", "own,type=env", "busybox", "true"]).ok();
    t.rctr(["secret", "rm", "own"]).ok();
    t.rctr(["start", "s"]).fails(125, &["no such secret: own"]);
    t.rctr(["rm", "s"]).ok();
    t.nothing_left();
}
