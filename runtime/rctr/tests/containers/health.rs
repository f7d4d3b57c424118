//! Health checks, by the monitor's own clock.

use std::fs;

use crate::host::Host;

const QUICK: [&str; 4] = ["-d", "--health-interval", "50ms", "--name"];

fn check(host: &Host, more: &[&str]) {
    host.run(&[&QUICK[..], &["app"], more].concat()).ok();
}

fn inspect(host: &Host, template: &str) -> String {
    host.rctr(&["inspect", "-f", template, "app"]).ok().trim().to_owned()
}

#[test]
fn a_container_is_well_then_unwell_then_well_again() {
    let Some(host) = Host::new() else { return };
    let folder = host.path("shared");
    fs::create_dir(&folder).unwrap();
    let bind = format!("{}:/shared", folder.display());
    let command = "echo looked; test ! -e /shared/ill";
    check(&host, &["-v", &bind, "--health-cmd", command, "--health-retries", "2", "busybox", "sleep", "1000"]);
    assert!(["starting", "healthy"].contains(&inspect(&host, "{{.State.Health.Status}}").as_str()));
    host.rctr(&["wait", "--condition", "healthy", "app"]).ok();
    assert!(host.rctr(&["ps", "--format", "{{.Status}}"]).ok().ends_with("(healthy)\n"));
    assert_eq!(host.rctr(&["ps", "-q", "--filter", "health=healthy"]).ok().lines().count(), 1);
    fs::write(folder.join("ill"), "").unwrap();
    host.rctr(&["wait", "--condition", "unhealthy", "app"]).ok();
    let streak: u32 = inspect(&host, "{{.State.Health.FailingStreak}}").parse().unwrap();
    assert!(streak >= 2);
    let log: serde_json::Value = serde_json::from_str(&inspect(&host, "{{json .State.Health.Log}}")).unwrap();
    let last = log.as_array().unwrap().last().unwrap();
    assert!(last["ExitCode"] == 1 && last["Output"] == "looked\n" && log.as_array().unwrap().len() <= 5, "{log}");
    assert!(last["Start"].as_str().unwrap() < last["End"].as_str().unwrap());
    fs::remove_file(folder.join("ill")).unwrap();
    host.rctr(&["wait", "--condition", "healthy", "app"]).ok();
    // What a check says is not what the container says.
    assert_eq!(host.rctr(&["logs", "app"]).ok(), "");
    assert_eq!(inspect(&host, "{{json .Config.Healthcheck.Test}}"), format!("[\"CMD-SHELL\",\"{command}\"]"));
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}

#[test]
fn a_check_that_takes_too_long_is_killed() {
    let Some(host) = Host::new() else { return };
    let flags = ["--health-cmd", "sleep 1000", "--health-timeout", "100ms", "--health-retries", "1"];
    check(&host, &[&flags[..], &["busybox", "sleep", "2000"]].concat());
    host.rctr(&["wait", "--condition", "unhealthy", "app"]).ok();
    let said = inspect(&host, "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}");
    assert_eq!(said, "-1 Health check exceeded timeout (100ms)");
    assert!(host.rctr(&["top", "app", "-o", "args"]).ok().lines().filter(|line| line.contains("sleep 1000")).count() <= 1);
}

#[test]
fn what_is_to_be_done_about_an_unwell_container_is_done() {
    let Some(host) = Host::new() else { return };
    let sick = |action| ["--health-cmd", "exit 1", "--health-retries", "1", "--health-on-failure", action];
    let sleep = ["busybox", "sleep", "1000"];
    check(&host, &[&sick("kill")[..], &sleep].concat());
    assert_eq!(host.rctr(&["wait", "app"]).ok(), "137\n");
    host.rctr(&["rm", "app"]).ok();
    // A first process that handles no SIGTERM is not ended by it, but by what comes after.
    check(&host, &[&sick("stop")[..], &["--restart", "always", "--stop-timeout", "0"], &sleep].concat());
    host.rctr(&["wait", "app"]).ok();
    assert_eq!(inspect(&host, "{{.State.Status}} {{.State.Health.Status}}"), "exited unhealthy");
    host.rctr(&["rm", "app"]).ok();
    check(&host, &[&sick("restart")[..], &["--stop-timeout", "0"], &sleep].concat());
    let begin = std::time::Instant::now();
    while inspect(&host, "{{.RestartCount}}") == "0" {
        assert!(begin.elapsed().as_secs() < 100, "it was not restarted");
    }
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}

#[test]
fn the_start_is_checked_first() {
    let Some(host) = Host::new() else { return };
    let folder = host.path("shared");
    fs::create_dir(&folder).unwrap();
    let bind = format!("{}:/shared", folder.display());
    // The usual check would be unhealthy at once.
    let usual = ["-v", &bind, "--health-cmd", "echo usual; test -e /shared/well", "--health-retries", "1"];
    let startup = ["--health-startup-cmd", "echo startup; test -e /shared/up", "--health-startup-interval", "50ms"];
    check(&host, &[&usual[..], &startup, &["--health-startup-success", "2", "busybox", "sleep", "1000"]].concat());
    let record = inspect(&host, "{{.Config.StartupHealthCheck.Test}} {{.Config.StartupHealthCheck.Successes}}");
    assert_eq!(record, "[CMD-SHELL echo startup; test -e /shared/up] 2");
    assert!(!inspect(&host, "{{json .Config.Healthcheck}}").contains("tartup"));
    let said = || inspect(&host, "{{range .State.Health.Log}}{{.Output}}{{end}}");
    soon(|| said().matches("startup").count() >= 3);
    assert!(
        inspect(&host, "{{.State.Health.Status}} {{.State.Health.FailingStreak}}") == "starting 0" && !said().contains("usual")
    );
    fs::write(folder.join("up"), "").unwrap();
    // From then on the other one is asked, and it alone.
    host.rctr(&["wait", "--condition", "unhealthy", "app"]).ok();
    soon(|| said().matches("usual").count() == 5);
    fs::write(folder.join("well"), "").unwrap();
    host.rctr(&["wait", "--condition", "healthy", "app"]).ok();
    host.rctr(&["rm", "-f", "app"]).ok();
    // What does not start is started again, and is checked as before.
    let never = ["--health-cmd", "true", "--health-startup-cmd", "exit 1", "--health-startup-interval", "50ms"];
    let restarts = ["--health-startup-retries", "2", "--stop-timeout", "0", "busybox", "sleep", "1000"];
    check(&host, &[&never[..], &restarts].concat());
    soon(|| inspect(&host, "{{.RestartCount}}").parse::<u32>().unwrap() >= 2);
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}

fn soon(mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed().as_secs() < 100, "it did not come to that");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn nonsense_names_its_flag() {
    let Some(host) = Host::new() else { return };
    for (flags, why) in [
        (&["--health-interval", "soon"][..], "--health-interval"),
        (&["--health-cmd", "x", "--health-interval", "1us"], "--health-interval"),
        (&["--health-retries", "0"], "--health-retries"),
        (&["--health-on-failure", "weep"], "none, kill, restart and stop"),
        (&["--health-timeout", "1s"], "neither --health-cmd nor the image"),
        (&["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck"),
        (&["--no-healthcheck", "--health-startup-cmd", "x"], "--no-healthcheck"),
        (&["--health-startup-retries", "1"], "--health-startup-cmd"),
        (&["--health-startup-cmd", "x"], "neither --health-cmd nor the image"),
        (&["--health-cmd", "x", "--health-startup-cmd", "x", "--health-startup-timeout", "1us"], "--health-startup-timeout"),
        (&["--rm", "--health-cmd", "x", "--health-startup-cmd", "x", "--health-startup-retries", "1"], "--health-startup-retries"),
    ] {
        let refused = host.run(&[flags, &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{flags:?} {refused:?}");
    }
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
}
