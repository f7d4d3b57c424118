//! `ps` and `rm`.

use integration::env::Env;

integration::tests![
    table_has_dockers_columns,
    states_and_all,
    filters,
    formats,
    by_id_and_its_beginning,
    rm_refuses_a_running_one,
    rm_by_force,
    removed_files_are_gone,
    sizes,
];

fn columns(header: &str) -> Vec<&str> {
    header.split("   ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

fn table_has_dockers_columns() {
    let t = Env::new();
    let header = t.rctr(["ps"]);
    assert_eq!(
        columns(header.ok().text()),
        ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"],
        "{header}"
    );
    let id = t.start(["--name", "app", "--network", "none", "test/probe", "sleep"]);
    let table = t.rctr(["ps"]);
    let row = columns(table.ok().lines()[1]);
    assert_eq!((row[0], row[1], row[2]), (&id[..12], "test/probe", "\"/probe sleep\""), "{table}");
    assert!(row[3].ends_with(" ago") && row[4].starts_with("Up ") && row.last() == Some(&"app"), "{table}");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn states_and_all() {
    let t = Env::new();
    t.rctr(["create", "--network", "none", "--name", "made", "test/probe", "sleep"]).ok();
    t.rctr(["run", "--network", "none", "--name", "ended", "test/probe", "exit", "3"]).code(3);
    t.start(["--network", "none", "--name", "runs", "test/probe", "sleep"]);
    t.rctr(["ps", "--format", "{{.Names}}"]).ok().says("runs\n");
    // the youngest first
    let all = t.rctr(["ps", "-a", "--format", "{{.Names}} {{.State}} {{.Status}}"]);
    let lines = all.ok().lines();
    assert!(lines[0].starts_with("runs running Up "), "{all}");
    assert!(lines[1].starts_with("ended exited Exited (3) ") && lines[1].ends_with(" ago"), "{all}");
    assert_eq!(lines[2], "made created Created");
    let ids = t.rctr(["ps", "-aq"]);
    assert!(ids.ok().lines().iter().all(|id| id.len() == 12) && ids.lines().len() == 3, "{ids}");
    t.rctr(["ps", "-n", "1", "-q", "--no-trunc"]).ok().says(&format!("{}\n", t.inspect("runs", "{{.Id}}")));
    t.remove_all();
    t.nothing_left();
}

fn filters() {
    let t = Env::new();
    let one = t.start(["--network", "none", "--name", "web-1", "--label", "tier=web", "test/probe", "sleep"]);
    t.start(["--network", "none", "--name", "db", "--label", "tier=db", "busybox", "sleep", "1000"]);
    t.rctr(["run", "--network", "none", "--name", "job", "test/probe", "exit", "4"]).code(4);
    for (filter, expected) in [
        ("name=web", "web-1\n"),
        ("label=tier", "db\nweb-1\n"),
        ("label=tier=web", "web-1\n"),
        ("status=exited", "job\n"),
        ("status=running", "db\nweb-1\n"),
        ("exited=4", "job\n"),
        ("exited=0", ""),
        ("ancestor=busybox", "db\n"),
        (&format!("id={}", &one[..8]), "web-1\n"),
    ] {
        t.rctr(["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).ok().says(expected);
    }
    t.rctr(["ps", "-a", "-f", "label=tier", "-f", "name=db", "--format", "{{.Names}}"]).ok().says("db\n");
    t.rctr(["ps", "-f", "colour=red"]).code(125).complains(&["colour"]).says("");
    t.remove_all();
    t.nothing_left();
}

fn formats() {
    let t = Env::new();
    t.start(["--network", "none", "--name", "app", "--label", "a=b", "test/probe", "sleep"]);
    let row = t.rctr(["ps", "--format", "json"]);
    let row = row.ok().json();
    assert_eq!(
        (row["Names"].as_str(), row["Image"].as_str(), row["State"].as_str()),
        (Some("app"), Some("test/probe"), Some("running"))
    );
    let table = t.rctr(["ps", "--format", "table {{.Names}}\t{{.Image}}"]);
    assert_eq!(
        table.ok().lines().iter().map(|line| columns(line)).collect::<Vec<_>>(),
        [vec!["NAMES", "IMAGE"], vec!["app", "test/probe"]]
    );
    t.rctr(["ps", "--format", "{{.Label \"a\"}} {{.Command}}"]).ok().says("b \"/probe sleep\"\n");
    t.rctr(["ps", "--format", "{{.Rubbish}}"]).code(125);
    t.remove_all();
    t.nothing_left();
}

fn by_id_and_its_beginning() {
    let t = Env::new();
    let ids: Vec<_> = (0..17).map(|_| t.rctr(["create", "test/probe", "sleep"])).map(|made| made.ok().text().to_owned()).collect();
    assert_eq!(t.inspect(&ids[3][..12], "{{.Id}}"), ids[3]);
    // seventeen ids have sixteen first digits
    let digit =
        ids.iter().map(|id| &id[..1]).find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1).expect("a digit");
    t.rctr(["rm", digit]).fails(125, &[digit]);
    t.remove_all();
    t.nothing_left();
}

fn rm_refuses_a_running_one() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--name", "app", "test/probe", "sleep"]);
    t.rctr(["rm", "app"]).fails(125, &["app", "running"]);
    assert_eq!(t.inspect(&id, "{{.State.Status}}"), "running");
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn rm_by_force() {
    let t = Env::new();
    for state in ["created", "running", "exited"] {
        let id = match state {
            "created" => t.rctr(["create", "test/probe", "sleep"]).ok().text().to_owned(),
            _ => t.start(["test/probe", "sleep"]),
        };
        if state == "exited" {
            t.rctr(["kill", &id]).ok();
            t.rctr(["wait", &id]).ok();
        }
        t.rctr(["rm", "--force", &id]).ok().says(&format!("{id}\n"));
        t.nothing_left();
    }
}

fn removed_files_are_gone() {
    let t = Env::new();
    let script =
        "mkdir -p /a/b; chmod 0 /a/b /a; ln -s / /a-link; mkfifo /pipe; head -c 5000000 /dev/zero > /big; touch -- '-rf *'";
    t.rctr(["run", "--network", "none", "--name", "app", "busybox", "sh", "-c", script]).ok();
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn sizes() {
    let t = Env::new();
    t.start(["--name", "big", "--network", "none", "busybox", "sh", "-c", "head -c 5000000 /dev/zero > /big; sleep 1000"]);
    t.soon("it has written", || t.rctr(["ps", "-s", "--format", "{{.Size}}"]).stdout.starts_with("5MB (virtual "));
    let table = t.rctr(["ps", "--size"]);
    assert!(table.ok().lines()[0].ends_with("SIZE") && table.lines()[1].contains("5MB (virtual "), "{table}");
    t.rctr(["rm", "-f", "big"]).ok();
    t.nothing_left();
}
