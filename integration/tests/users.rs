//! Users by name and by number, from the image's own files.

use integration::env::Env;

integration::tests![of_the_image, of_the_flag, home_of_the_user, unknown_ones, files_cannot_lead_outside];

fn id(t: &Env, flags: &[&str], image: &str) -> String {
    let run = ["run", "--rm", "--network", "none", "--entrypoint", "/probe"];
    let output = t.rctr(run.iter().chain(flags).chain(&[image, "id"]));
    output.ok().text().to_owned()
}

fn of_the_image() {
    let t = Env::new();
    assert_eq!(id(&t, &[], "test/config"), "uid=1000 gid=1000 groups=1000,2000,2001");
    assert!(id(&t, &[], "test/probe").starts_with("uid=0 gid=0 groups="));
    t.nothing_left();
}

fn of_the_flag() {
    let t = Env::new();
    for (user, expected) in [
        ("app", "uid=1000 gid=1000 groups=1000,2000,2001"),
        ("1000", "uid=1000 gid=1000 groups=1000,2000,2001"),
        ("app:extra", "uid=1000 gid=2000 groups=2000"),
        ("app:2001", "uid=1000 gid=2001 groups=2001"),
        ("4242", "uid=4242 gid=0 groups=0"),
        ("4242:4343", "uid=4242 gid=4343 groups=4343"),
        ("nobody", "uid=65534 gid=65534 groups=2001,65534"),
    ] {
        assert_eq!(id(&t, &["-u", user], "test/probe"), expected, "{user}");
    }
    assert!(id(&t, &["-u", "root"], "test/config").starts_with("uid=0 gid=0"));
    t.nothing_left();
}

fn home_of_the_user() {
    let t = Env::new();
    for (user, home) in [("root", "/root"), ("app", "/home/app"), ("4242", "/")] {
        let env = t.rctr(["run", "--rm", "--network", "none", "-u", user, "test/probe", "env"]);
        assert_eq!(env.ok().field("HOME="), home, "{user}");
    }
    t.nothing_left();
}

fn unknown_ones() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    for (user, named) in [("ghost", "ghost"), ("app:ghosts", "ghosts"), ("-1", "-1"), ("4294967296", "4294967296")] {
        let run = t.rctr(["run", "--rm", "--network", "none", &format!("--user={user}"), "test/probe", "id"]);
        run.fails(125, &[named]);
        t.nothing_left();
    }
}

/// An image whose passwd is a link to the host's.
fn files_cannot_lead_outside() {
    use integration::layer::{Compression, Entry, pack};
    let (t, fake) = (Env::new(), integration::fake::Fake::start().expect("a registry"));
    let host = t.path("passwd");
    std::fs::write(&host, "host:x:77:77::/:/bin/sh\n").expect("a file");
    let path = host.display().to_string();
    let busybox = integration::catalog::busybox(Compression::Gzip).expect("busybox");
    let link = [Entry::whiteout("etc/passwd"), Entry::symlink("etc/passwd", &path)];
    let up = [Entry::whiteout("etc/passwd"), Entry::symlink("etc/passwd", &format!("../../../../..{path}"))];
    for (number, entries) in [&link[..], &up[..]].into_iter().enumerate() {
        let layers = vec![busybox.clone(), pack(&entries[1..], Compression::Gzip).expect("a layer")];
        let image = integration::oci::Image::new(integration::oci::Format::Oci, layers, serde_json::json!({}));
        let name = fake.add(&format!("evil/passwd:v{number}"), &image.bundle());
        t.rctr(["pull", "-q", &name]).ok();
        t.rctr(["run", "--rm", "--network", "none", "-u", "host", &name, "/bin/id"]).fails(125, &["host"]);
    }
    t.nothing_left();
}
