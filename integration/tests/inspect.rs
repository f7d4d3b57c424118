//! `inspect`: the JSON that scripts read.

use integration::env::Env;
use serde_json::{Value, json};

integration::tests![shape_of_a_running_container, shape_of_an_ended_container, what_was_asked_for, templates, several_and_unknown];

fn inspect(t: &Env, name: &str) -> Value {
    let output = t.rctr(["inspect", name]);
    output.ok().json()[0].clone()
}

fn end(t: &Env, id: &str) {
    t.rctr(["rm", "-f", id]).ok();
    t.nothing_left();
}

fn shape_of_a_running_container() {
    let t = Env::new();
    let id = t.start(["--name", "app", "--entrypoint", "/probe", "test/config", "sleep"]);
    let app = inspect(&t, "app");
    assert_eq!((app["Id"].as_str(), app["Name"].as_str()), (Some(id.as_str()), Some("/app")));
    assert_eq!((app["Path"].as_str(), &app["Args"]), (Some("/probe"), &json!(["sleep"])));
    assert!(app["Created"].as_str().is_some_and(|time| time.ends_with('Z')), "{app}");
    assert_eq!(app["Image"], t.inspect("test/config", "{{.Id}}"));
    let state = &app["State"];
    assert_eq!((&state["Status"], &state["Running"], &state["ExitCode"]), (&json!("running"), &json!(true), &json!(0)));
    assert_eq!(
        (&state["Paused"], &state["Restarting"], &state["OOMKilled"], &state["Dead"]),
        (&json!(false), &json!(false), &json!(false), &json!(false))
    );
    let pid = state["Pid"].as_u64().expect("a pid");
    assert!(std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == "/probe\0sleep\0"));
    assert!(state["StartedAt"].as_str().is_some_and(|time| time.starts_with("20")), "{state}");
    assert_eq!(state["FinishedAt"], "0001-01-01T00:00:00Z");
    let config = &app["Config"];
    assert_eq!(
        (&config["Image"], &config["User"], &config["WorkingDir"]),
        (&json!("test/config"), &json!("app"), &json!("/srv/deep"))
    );
    assert_eq!((&config["Entrypoint"], &config["Cmd"]), (&json!(["/probe"]), &json!(["sleep"])));
    assert_eq!((&config["Hostname"], &config["Tty"], &config["OpenStdin"]), (&json!(id[..12]), &json!(false), &json!(false)));
    assert_eq!(config["Labels"]["tier"], "test");
    let network = &app["NetworkSettings"];
    assert!(network["IPAddress"].as_str().is_some_and(|address| address.parse::<std::net::Ipv4Addr>().is_ok()), "{network}");
    assert!(network["IPPrefixLen"].as_u64().is_some_and(|len| len > 8), "{network}");
    end(&t, &id);
}

fn shape_of_an_ended_container() {
    let t = Env::new();
    t.rctr(["run", "--name", "app", "test/probe", "exit", "3"]).code(3);
    let app = inspect(&t, "app");
    let state = &app["State"];
    assert_eq!(
        (&state["Status"], &state["Running"], &state["ExitCode"], &state["Pid"]),
        (&json!("exited"), &json!(false), &json!(3), &json!(0))
    );
    let (started, finished) = (state["StartedAt"].as_str().expect("a time"), state["FinishedAt"].as_str().expect("a time"));
    assert!(started < finished, "{state}");
    assert_eq!(app["NetworkSettings"]["IPAddress"], "");
    end(&t, "app");
}

fn what_was_asked_for() {
    let t = Env::new();
    let bind = format!("{}:/data:ro", t.path("home").display());
    let id = t.start([
        "-m",
        "64m",
        "--cpus",
        "0.5",
        "--pids-limit",
        "50",
        "--cap-add",
        "NET_ADMIN",
        "--cap-drop",
        "KILL",
        "--read-only",
        "--rm",
        "-v",
        &bind,
        "-e",
        "A=1",
        "-h",
        "box",
        "--label",
        "x=y",
        "--network",
        "none",
        "test/probe",
        "sleep",
    ]);
    let app = inspect(&t, &id);
    let host = &app["HostConfig"];
    assert_eq!(host["Memory"], 64 << 20);
    assert_eq!((&host["NanoCpus"], &host["PidsLimit"]), (&json!(500_000_000_u64), &json!(50)));
    assert_eq!((&host["ReadonlyRootfs"], &host["AutoRemove"], &host["Privileged"]), (&json!(true), &json!(true), &json!(false)));
    assert_eq!((&host["NetworkMode"], &host["Binds"]), (&json!("none"), &json!([bind])));
    assert!(host["CapAdd"].to_string().contains("NET_ADMIN") && host["CapDrop"].to_string().contains("KILL"), "{host}");
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    let mount = &app["Mounts"][0];
    assert_eq!((&mount["Type"], &mount["Destination"], &mount["RW"]), (&json!("bind"), &json!("/data"), &json!(false)));
    assert_eq!(mount["Source"], t.path("home").display().to_string());
    assert_eq!((&app["Config"]["Hostname"], &app["Config"]["Labels"]), (&json!("box"), &json!({"x": "y"})));
    end(&t, &id);
}

fn templates() {
    let t = Env::new();
    let id = t.start(["--name", "app", "--network", "none", "-e", "A=1", "-e", "B=2", "test/probe", "sleep"]);
    for (template, expected) in [
        ("{{.Name}} is {{.State.Status}}", "/app is running"),
        ("{{json .Config.Cmd}}", r#"["sleep"]"#),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{len .Config.Cmd}} {{index .Config.Cmd 0}}", "1 sleep"),
        ("{{.HostConfig.NetworkMode | upper}}", "NONE"),
        ("{{printf \"%.12s\" .Id}}", &id[..12]),
    ] {
        let said = t.inspect("app", template);
        assert!(said.ends_with(expected) || said.contains(expected), "{template}: {said:?}");
    }
    t.rctr(["inspect", "-f", "{{.Nothing.Here}}", "app"]).code(125);
    t.rctr(["inspect", "-f", "{{.Name", "app"]).code(125);
    end(&t, &id);
}

fn several_and_unknown() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--name", "app", "test/probe", "sleep"]);
    let both = t.rctr(["inspect", "app", "test/probe"]);
    assert_eq!(both.ok().json().as_array().map(Vec::len), Some(2));
    let some = t.rctr(["inspect", "app", "nobody"]);
    some.code(125).complains(&["no such", "nobody"]);
    assert_eq!(some.json().as_array().map(Vec::len), Some(1));
    let none = t.rctr(["inspect", "nobody"]);
    none.code(125).complains(&["no such", "nobody"]);
    assert_eq!(none.json(), json!([]));
    t.rctr(["inspect", "--type", "image", "app"]).code(125);
    t.rctr(["inspect", "--type", "container", "-f", "{{.Id}}", "app"]).ok().says(&format!("{id}\n"));
    end(&t, &id);
}
