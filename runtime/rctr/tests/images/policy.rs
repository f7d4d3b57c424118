//! The host's policy for images, from the command line on.

use std::fs;
use std::process::Command;

use super::registry::Registry;
use super::{Done, Host, archive};

impl Host {
    /// With a home in which this is the policy.
    fn policed(&self, policy: &str, arguments: &[&str]) -> Done {
        let folder = self.path("home/.config/containers");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("policy.json"), policy).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rctr"));
        command.env("HOME", self.path("home"));
        self.run(command, arguments, b"")
    }
}

/// Nothing but what these scopes let in.
fn only(transport: &str, scopes: &str) -> String {
    format!(r#"{{"default": [{{"type": "reject"}}], "transports": {{"{transport}": {{{scopes}}}}}}}"#)
}

const ACCEPT: &str = r#"[{"type": "insecureAcceptAnything"}]"#;

#[test]
fn a_policy_is_about_what_comes() {
    let Some(host) = Host::new() else { return };
    let registry = Registry::serve(&host, &[]);
    let (name, other) = (format!("{}/good/a:1", registry.address), format!("{}/bad/a:1", registry.address));
    for name in [&name, &other] {
        host.load(name);
        host.out(&["push", "-q", name]);
        host.out(&["rmi", name]);
    }
    let policy = only("docker", &format!(r#""{}/good": {ACCEPT}"#, registry.address));
    assert_eq!(host.policed(&policy, &["pull", "-q", &name]).code, Some(0));
    for arguments in [
        &["pull", "-q", &other][..],
        &["create", "-q", &other, "/x"],
        &["create", "-q", "--pull", "always", &other, "/x"],
        &["copy", "-q", &other, &format!("{}/good/b:1", registry.address)],
    ] {
        let done = host.policed(&policy, arguments);
        assert_eq!(done.code, Some(125), "{arguments:?}");
        assert!(
            done.err.contains("is refused by") && done.err.contains("policy.json") && done.err.contains("(the default)"),
            "{}",
            done.err
        );
    }
    assert_eq!(host.out(&["images", "--format", "{{.Repository}}"]), format!("{}/good/a\n", registry.address));
    // What is here is no longer asked about, and what is newer does not come by the way.
    assert_eq!(host.policed(&only("docker", ""), &["create", "-q", &name, "/x"]).code, Some(0));
    let refused = host.policed(&only("docker", ""), &["create", "-q", "--pull", "newer", &name, "/x"]);
    assert!(refused.code == Some(0) && refused.err.contains("is refused by"), "{}", refused.err);
}

#[test]
fn a_damaged_policy_lets_nothing_in() {
    let Some(host) = Host::new() else { return };
    for (policy, why) in [
        ("{\n\"default\": [{\"type\": \"insecureAcceptAnything\"}],\n}", "line 3"),
        ("", "line 1"),
        ("{\"default\": []}", "line 1"),
    ] {
        for arguments in [&["pull", "127.0.0.1:1/a"][..], &["load", "-q", "-i", "/dev/null"]] {
            let done = host.policed(policy, arguments);
            assert!(done.code == Some(125) && done.err.contains("policy.json: ") && done.err.contains(why), "{}", done.err);
        }
    }
}

#[test]
fn archives_have_places() {
    let Some(host) = Host::new() else { return };
    let path = host.path("a.tar");
    fs::write(&path, archive("a:1")).unwrap();
    let load = |policy: &str| host.policed(policy, &["load", "-q", "-i", path.to_str().unwrap()]);
    let refused = load(&only("docker", &format!(r#""": {ACCEPT}"#)));
    assert!(refused.code == Some(125) && refused.err.contains("a.tar is refused by"), "{}", refused.err);
    assert_eq!(host.out(&["images", "-q"]), "");
    let signed = r#"[{"type": "sigstoreSigned", "keyPath": "/k"}]"#;
    let both = |rule: &str| format!(r#"{{"default": {rule}}}"#);
    let refused = load(&both(signed));
    assert!(refused.code == Some(125) && refused.err.contains("no signature"), "{}", refused.err);
    assert_eq!(load(&both(ACCEPT)).code, Some(0));
}

/// What is built has what the steps of a cache have made.
#[test]
fn caches_are_under_the_policy() {
    let Some(host) = Host::new() else { return };
    let context = host.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY Dockerfile /\n").unwrap();
    let build = ["build", "-q", "--cache-from", "type=registry,ref=127.0.0.1:1/a/cache", context.to_str().unwrap()];
    let done = host.policed(&only("docker", ""), &build);
    assert!(done.code == Some(0) && done.err.contains("127.0.0.1:1/a/cache:latest is refused by"), "{}", done.err);
}
