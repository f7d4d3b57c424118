use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn canonical(text: &str) -> String {
    text.parse::<Reference>().unwrap_or_else(|error| panic!("{error}")).to_string()
}

fn problem(text: &str) -> String {
    text.parse::<Reference>().expect_err(text).to_string()
}

#[test]
fn what_names_mean() {
    for (text, meaning) in [
        ("busybox", "docker.io/library/busybox:latest"),
        ("smlinux/nodeinfo:v1", "docker.io/smlinux/nodeinfo:v1"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ("docker.io/library", "docker.io/library/library:latest"),
        ("localhost", "docker.io/library/localhost:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("foo:5000/x:y", "foo:5000/x:y"),
        ("foo/x", "docker.io/foo/x:latest"),
        ("Foo/x", "Foo/x:latest"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("[2001:db8::1]/x", "[2001:db8::1]/x:latest"),
        ("ghcr.io/a/b_c/d__e.f-g---h", "ghcr.io/a/b_c/d__e.f-g---h:latest"),
        ("a:_b.C-d", "docker.io/library/a:_b.C-d"),
        (&HEX[1..], &format!("docker.io/library/{}:latest", &HEX[1..])),
        (&format!("x/{HEX}"), &format!("docker.io/x/{HEX}:latest")),
    ] {
        assert_eq!(canonical(text), meaning);
    }
}

#[test]
fn a_digest_says_all() {
    let digest = format!("sha256:{HEX}");
    let reference: Reference = format!("app:v1@{digest}").parse().unwrap();
    assert_eq!(reference.to_string(), format!("docker.io/library/app@{digest}"));
    assert_eq!((reference.tag(), reference.digest().unwrap().to_string()), (None, digest.clone()));
    assert_eq!(reference.familiar(), format!("app@{digest}"));
    let tagged: Reference = "app:v1".parse().unwrap();
    assert_eq!((tagged.tag(), tagged.digest()), (Some("v1"), None));
    assert_eq!(tagged.with_digest(reference.digest().unwrap()), reference);
}

#[test]
fn short_names() {
    for (text, short) in [
        ("busybox", "busybox:latest"),
        ("docker.io/smlinux/nodeinfo:v1", "smlinux/nodeinfo:v1"),
        ("docker.io/library/a/b", "library/a/b:latest"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        ("docker.io/localhost/x", "docker.io/localhost/x:latest"),
        ("docker.io/a.b/x", "docker.io/a.b/x:latest"),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.familiar(), short);
        assert_eq!(reference.familiar_name(), short.rsplit_once(':').unwrap().0);
    }
}

#[test]
fn what_is_no_name() {
    let long = "a".repeat(300);
    for (text, why) in [
        ("", "it is empty"),
        (HEX, "64 hexadecimal digits"),
        ("https://docker.io/busybox", "a URL is no reference"),
        ("docker://busybox", "a URL is no reference"),
        ("Busybox", "lower case"),
        ("docker.io/Library/x", "lower case"),
        ("a//b", "empty part"),
        ("/a", "empty part"),
        ("a/", "empty part"),
        ("docker.io/", "the repository is missing"),
        ("a..b", "do not go together"),
        ("a___b", "do not go together"),
        ("a.-b", "do not go together"),
        ("-a", "begins and ends"),
        ("a_", "begins and ends"),
        ("a/../b", "begins and ends"),
        ("a b", "lower-case letters, digits"),
        ("a\nb", "lower-case letters, digits"),
        ("\u{e4}", "lower-case letters, digits"),
        ("a:", "the tag is empty"),
        ("a:.b", "does not begin with"),
        ("a:b c", "a tag has letters"),
        (&format!("a:{}", "b".repeat(129)), "128 characters"),
        (&long, "255 characters"),
        (&format!("host.example/{}", &long[..243]), "255 characters"),
        ("a@sha256:abc", "sha256 has 64 digits"),
        ("a@md5:abc", "neither sha256 nor sha512"),
        ("a@", "it has no algorithm"),
        (&format!("a@sha256:{HEX}@sha256:{HEX}"), "sha256 has 64 digits"),
        ("host:port/x", "port"),
        ("host:0/x", "port"),
        ("host:65536/x", "port"),
        ("host:+1/x", "port"),
        ("-host.example/x", "not a host name"),
        ("host..example/x", "not a host name"),
        ("us:er@host.example/x", "it has no algorithm"),
        ("[::1/x", "closing bracket"),
        ("[::1]5000/x", "between address and port"),
        ("[x:y]:1/x", "IPv6"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(why), "{text:?}: {problem}");
        assert!(problem.starts_with("invalid reference \"") && !problem.contains('\n'), "{problem}");
    }
    assert_eq!(problem("Busybox"), "invalid reference \"Busybox\": the repository must be lower case");
}

/// An error is one line, and not the name.
#[test]
fn names_of_ten_kilobytes() {
    for text in
        ["a/".repeat(5000), format!("a:{}", "b".repeat(10_000)), format!("a@sha256:{}", "c".repeat(10_000)), "H".repeat(10_000)]
    {
        assert!(problem(&text).len() < 400, "{}", problem(&text));
    }
}

#[test]
fn limits() {
    assert!(format!("a:{}", "b".repeat(128)).parse::<Reference>().is_ok());
    assert!(format!("host.example/{}", "a".repeat(242)).parse::<Reference>().is_ok());
}

/// What the parser of `oci-distribution` finds in a name, where it takes it.
fn theirs(text: &str) -> Option<(String, String)> {
    let reference: oci_distribution::Reference = text.parse().ok()?;
    Some((reference.registry().to_owned(), reference.repository().to_owned()))
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,80}") {
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(canonical(&reference.to_string()), reference.to_string());
        }
    }

    #[test]
    fn written_and_read(
        registry in prop::option::of("([a-z0-9]{1,8}\\.[a-z]{2,5}|localhost)(:[1-9][0-9]{0,3})?"),
        repository in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}",
        tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        digest in any::<bool>(),
    ) {
        // Without a registry a dot in the first part would make it one.
        let ambiguous = repository.split_once('/').is_some_and(|(first, _)| first.contains('.') || first == "localhost");
        let registry = registry.or_else(|| ambiguous.then(|| "docker.io".to_owned()));
        let mut text = registry.iter().map(|registry| format!("{registry}/")).collect::<String>() + &repository;
        text.extend(tag.iter().map(|tag| format!(":{tag}")));
        text.extend(digest.then(|| format!("@sha256:{HEX}")));
        let reference: Reference = text.parse().unwrap();
        prop_assert_eq!(reference.familiar().parse::<Reference>().unwrap(), reference.clone());
        prop_assert_eq!(reference.to_string().parse::<Reference>().unwrap(), reference.clone());
        prop_assert_eq!(reference.digest().is_some(), digest);
        if !digest {
            prop_assert_eq!(reference.tag(), Some(tag.as_deref().unwrap_or("latest")));
        }
        let both = theirs(&text).map(|theirs| (theirs, (reference.registry().to_owned(), reference.repository().to_owned())));
        if let Some((theirs, ours)) = both {
            prop_assert_eq!(ours, theirs);
        }
    }
}
