use std::path::Path;

use super::*;

fn places_of(text: &str, reference: &str) -> Result<Vec<Place>, String> {
    places_for(Purpose::Pull, text, reference)
}

fn places_for(purpose: Purpose, text: &str, reference: &str) -> Result<Vec<Place>, String> {
    let hosts = parse(text, Path::new("/etc/x")).map_err(|error| error.to_string())?;
    hosts.places(&reference.parse().unwrap(), purpose).map_err(|error| error.to_string())
}

#[test]
fn who_takes_pushes() {
    let pushed = |text: &str| {
        let places = places_for(Purpose::Push, text, "r.example/a");
        places.map(|places| places.into_iter().map(|place| place.registry).collect::<Vec<_>>())
    };
    let mirror = "[host.'https://m.example']\n";
    assert_eq!(pushed(mirror).unwrap(), ["r.example"], "a mirror that says nothing of pushes gets none");
    assert_eq!(pushed("server = 'https://s.example'").unwrap(), ["s.example"]);
    let two = format!("{mirror}capabilities = ['pull', 'resolve']\n[host.'http://p.example:5000']\ncapabilities = ['push']\n");
    assert_eq!(pushed(&two).unwrap(), ["p.example:5000"]);
    assert_eq!(places_of(&two, "r.example/a").unwrap().len(), 2, "it takes pushes only");
    let own = format!("capabilities = ['pull', 'resolve']\n{two}");
    assert_eq!(pushed(&own).unwrap(), ["p.example:5000"]);
    assert!(pushed("capabilities = ['pull']").unwrap_err().contains("\"push\""));
    assert!(places_of("capabilities = ['push']", "a").unwrap_err().contains("\"pull\""));
}

#[test]
fn mirrors_in_their_order() {
    let text = r#"
        server = "https://registry-1.docker.io"
        [host."http://z.example:5000"]
          capabilities = ["pull"]
        [host."https://a.example/hub/v2"]
          capabilities = ["pull", "resolve"]
          ca = ["ca.pem", "/etc/other.pem"]
          client = [["me.cert", "me.key"], ["both.pem", ""]]
          override_path = true
          [host."https://a.example/hub/v2".header]
            x-who = "me"
        [host."https://push.example"]
          capabilities = ["push"]
        [host."b.example/sub"]
          skip_verify = true
    "#;
    let places = places_of(text, "busybox").unwrap();
    let names: Vec<&str> = places.iter().map(|place| place.registry.as_str()).collect();
    assert_eq!(names, ["z.example:5000", "a.example", "b.example", "registry-1.docker.io"]);
    let [first, second, third, own] = places.as_slice() else { panic!("{places:?}") };
    assert_eq!(
        (first.reach.scheme, first.pull, first.reach.namespace.as_deref()),
        (Some("http"), PullFrom::DigestOnly, Some("docker.io"))
    );
    assert_eq!((second.reach.path.as_deref(), second.reach.headers.len()), (Some("/hub/v2"), 1));
    assert_eq!(second.reach.identity.authorities, [Path::new("/etc/x/ca.pem"), Path::new("/etc/other.pem")]);
    let path = |name: &str| Path::new("/etc/x").join(name);
    assert_eq!(second.reach.identity.clients, [(path("me.cert"), path("me.key")), (path("both.pem"), path("both.pem"))]);
    assert_eq!((third.insecure, third.reach.path.as_deref()), (true, Some("/sub/v2")));
    assert_eq!((own.reach.namespace.as_deref(), own.repository.as_str()), (None, "library/busybox"));
}

#[test]
fn without_a_server() {
    let places = places_of("ca = 'ca.pem'\nskip_verify = true", "r.example:5000/a").unwrap();
    let [place] = places.as_slice() else { panic!("{places:?}") };
    assert_eq!((place.registry.as_str(), place.insecure, place.reach.scheme), ("r.example:5000", true, None));
    assert_eq!(place.reach.identity.authorities, [Path::new("/etc/x/ca.pem")]);
}

#[test]
fn what_is_wrong() {
    for (text, said) in [
        ("server = ", "line 1: "),
        ("server = 'ftp://x'", "it is no address of a registry"),
        ("[host.'https://a b']", "it is no address of a registry"),
        ("host = 1", "it is no table"),
        ("[host.'https://a']\nskip_verify = 'x'", "https://a"),
    ] {
        let error = places_of(text, "a").unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
}
