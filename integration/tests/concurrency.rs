//! Many at once.

use integration::env::Env;

integration::tests![thirty_two_runs, sixteen_services, one_name_for_one, one_image_for_all, start_and_remove_at_once];

fn thirty_two_runs() {
    let t = Env::new();
    t.rctr(["run", "--rm", "test/probe", "out", "first"]).ok();
    let all: Vec<_> = (0..32).map(|number| t.spawn(["run", "--rm", "test/probe", "out", &number.to_string()])).collect();
    for (number, run) in all.into_iter().enumerate() {
        run.finish().ok().says(&format!("{number}\n")).says_aside("");
    }
    t.nothing_left();
}

fn sixteen_services() {
    let t = Env::new();
    t.rctr(["run", "--rm", "test/probe", "out", "first"]).ok();
    let runs: Vec<_> = (0..16).map(|_| t.spawn(["run", "-d", "-p", "80", "test/probe", "listen", "80", "hello"])).collect();
    let ids: Vec<_> = runs.into_iter().map(|run| run.finish().ok().text().to_owned()).collect();
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    for id in &ids {
        t.wait_for_log(id, "listening");
        addresses.push(t.inspect(id, "{{.NetworkSettings.IPAddress}}"));
        let port = t.inspect(id, "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}").parse().expect("a port");
        crate::ports::expect(("127.0.0.1", port), "hello");
        ports.push(port);
    }
    addresses.sort();
    addresses.dedup();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((addresses.len(), ports.len()), (16, 16));
    t.rctr(["rm".to_owned(), "-f".to_owned()].into_iter().chain(ids)).ok();
    t.nothing_left();
}

fn one_name_for_one() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    let all: Vec<_> = (0..8).map(|_| t.spawn(["create", "--name", "app", "test/probe", "sleep"])).collect();
    let codes: Vec<_> = all.into_iter().map(|create| create.finish().code).collect();
    assert_eq!(
        (codes.iter().filter(|code| **code == 0).count(), codes.iter().filter(|code| **code == 125).count()),
        (1, 7),
        "{codes:?}"
    );
    assert_eq!(t.rctr(["ps", "-aq"]).lines().len(), 1);
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

/// The first run of each pulls: they share one download and all of them start.
fn one_image_for_all() {
    let t = Env::new();
    let all: Vec<_> = (0..8).map(|_| t.spawn(["run", "--rm", "--network", "none", "test/tree", "cat", "/t/changed"])).collect();
    for run in all {
        run.finish().ok().says("upper");
    }
    t.nothing_left();
}

fn start_and_remove_at_once() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    for _ in 0..10 {
        t.rctr(["create", "--name", "app", "test/probe", "sleep"]).ok();
        let both = [t.spawn(["start", "app"]), t.spawn(["rm", "-f", "app"])];
        for one in both {
            let output = one.finish();
            assert!(output.code == 0 || output.code == 125, "{output}");
        }
        t.remove_all();
        t.nothing_left_soon();
    }
}
