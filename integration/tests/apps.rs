//! The three applications of the course notes, by the very commands of the notes.

use integration::env::{Env, applications};
use integration::http;

use crate::ports::free_port;

integration::tests![node_service, node_service_in_steps, web_server, python_service];

/// Fetches `path` from the service.
fn page(port: u16, path: &str) -> String {
    let answer = http::get(format!("127.0.0.1:{port}"), path).unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

fn node_service() {
    applications();
    let t = Env::new();
    let port = free_port();
    t.rctr(["pull", "smlinux/nodeinfo:v1"]).ok().has("docker.io/smlinux/nodeinfo:v1\n");
    let id = t.start(["--rm", "-p", &format!("{port}:8080"), "smlinux/nodeinfo:v1"]);
    t.wait_for_log(&id, "listening on 8080");
    assert_eq!(page(port, "/"), format!("Container Hostname: {}\n", &id[..12]));
    t.wait_for_log(&id, "GET / from");
    t.rctr(["stop", &id]).ok();
    t.soon("the container is removed", || t.rctr(["ps", "-aq"]).stdout.is_empty());
    t.nothing_left_soon();
}

fn node_service_in_steps() {
    applications();
    let t = Env::new();
    let port = free_port();
    t.rctr(["pull", "-q", "smlinux/nodeinfo:v1"]).ok();
    t.rctr(["create", "--name", "app", "-p", &format!("{port}:8080"), "smlinux/nodeinfo:v1"]).ok();
    t.rctr(["start", "app"]).ok().says("app\n");
    t.wait_for_log("app", "listening on 8080");
    assert!(page(port, "/").starts_with("Container Hostname: "));
    t.rctr(["exec", "app", "node", "-e", "console.log(6*7)"]).ok().says("42\n");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn web_server() {
    applications();
    let t = Env::new();
    let port = free_port();
    t.rctr(["pull", "-q", "smlinux/web:v1"]).ok();
    let id = t.start(["--name", "web", "-p", &format!("{port}:80"), "smlinux/web:v1"]);
    t.soon("nginx listens", || http::get(format!("127.0.0.1:{port}"), "/").is_ok());
    assert!(page(port, "/").contains("Served by nginx in a container"));
    // its workers run as www-data, and it ends on the image's own signal
    t.rctr(["stop", "web"]).ok();
    assert_eq!(t.inspect(&id, "{{.State.ExitCode}}"), "0");
    t.rctr(["rm", "web"]).ok();
    t.nothing_left();
}

fn python_service() {
    applications();
    let t = Env::new();
    let port = free_port();
    t.rctr(["pull", "-q", "smlinux/pyinfo:v1"]).ok();
    let id = t.start(["-h", "snake", "-m", "128m", "-p", &format!("127.0.0.1:{port}:8000"), "smlinux/pyinfo:v1"]);
    t.wait_for_log(&id, "listening on 8000");
    let answer: serde_json::Value = serde_json::from_str(&page(port, "/some/path")).expect("JSON");
    assert_eq!(answer, serde_json::json!({"hostname": "snake", "path": "/some/path"}));
    t.rctr(["stop", &id]).ok();
    assert_eq!(t.inspect(&id, "{{.State.ExitCode}}"), "0");
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}
