//! What a build remembers, given to other hosts: `--cache-to` and `--cache-from`.

use std::fs;

use integration::env::Env;
use integration::output::Output;
use integration::registry::Registry;

integration::tests![in_a_registry, in_a_folder, in_the_image, what_cannot_be_read_is_left_out];

const FILE: &str = "FROM busybox AS tool\nRUN echo made > /made; echo other > /other\nFROM busybox\nCOPY --from=tool /made /made\nCOPY f /f\nRUN true\nRUN echo more > /more\nENV A=b\n";

/// Builds with further flags, as a text of all steps.
fn build(t: &Env, flags: &[&str]) -> Output {
    fs::create_dir_all(t.path("context")).expect("a folder");
    fs::write(t.path("context/f"), "text").expect("a file");
    fs::write(t.path("context/Dockerfile"), FILE).expect("a file");
    let context = t.path("context").display().to_string();
    // the same files at whatever moment they are made: a copy from another stage stands for all of that
    let words = ["build", "--progress", "plain", "--network", "none", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"]
        .into_iter()
        .chain(flags.iter().copied());
    t.rctr(words.chain([context.as_str()]))
}

/// How many steps came from the cache, and how many were done.
fn steps(said: &Output) -> (usize, usize) {
    let cached = said.ok().stderr.lines().filter(|line| line.ends_with(" CACHED")).count();
    let all = said.stderr.lines().filter(|line| line.contains("] RUN ") || line.contains("] COPY ")).count();
    (cached, all)
}

/// Forgets all that was built here.
fn forget(t: &Env, name: &str) {
    t.rctr(["rmi", name]).ok();
    t.rctr(["builder", "prune", "-af"]).ok();
}

fn in_a_registry() {
    let (t, registry) = (Env::new(), Registry::start(false).expect("a registry"));
    let place = format!("{}/some/cache:main", registry.address);
    let to = format!("type=registry,ref={place},mode=max");
    let (cached, all) = steps(&build(&t, &["-t", "built", "--cache-to", &to]));
    assert_eq!((cached, all), (0, 5));
    let id = t.inspect("built", "{{.Id}}");
    forget(&t, "built");
    let again = build(&t, &["-t", "built", "--cache-from", &format!("type=registry,ref={place}")]);
    assert_eq!(steps(&again), (5, 5), "{again}");
    t.rctr(["run", "--rm", "--network", "none", "built", "cat", "/made", "/f", "/more"]).ok().says("made\ntextmore\n");
    assert_eq!(t.inspect("built", "{{.Id}}"), id, "it is the very image");
    // what the result has is all that goes without mode=max
    let least = format!("{}/some/cache:least", registry.address);
    build(&t, &["-t", "built", "--cache-to", &format!("type=registry,ref={least}")]).ok();
    forget(&t, "built");
    let again = build(&t, &["-t", "built", "--cache-from", &least]);
    assert_eq!(steps(&again), (4, 5), "{again}");
    t.nothing_left();
}

fn in_a_folder() {
    let t = Env::new();
    let (folder, other) = (t.path("cache").display().to_string(), t.path("context/f"));
    build(&t, &["-t", "built", "--cache-to", &format!("type=local,dest={folder},mode=max")]).ok();
    assert!(t.path("cache/index.json").is_file() && t.path("cache/oci-layout").is_file());
    forget(&t, "built");
    let again = build(&t, &["-t", "built", "--cache-from", &format!("type=local,src={folder}")]);
    assert_eq!(steps(&again), (5, 5), "{again}");
    forget(&t, "built");
    // A blob that is not what the cache says is as good as none.
    for entry in fs::read_dir(t.path("cache/blobs/sha256")).expect("blobs").flatten() {
        let bytes = fs::read(entry.path()).expect("a blob");
        if !bytes.starts_with(b"{") {
            fs::write(entry.path(), vec![0; bytes.len()]).expect("a blob");
        }
    }
    let again = build(&t, &["-t", "built", "--cache-from", &format!("type=local,src={folder}")]);
    again.ok().complains(&["a layer of the cache cannot be had"]);
    t.rctr(["run", "--rm", "--network", "none", "built", "cat", "/more"]).ok().says("more\n");
    assert!(other.is_file());
    t.nothing_left();
}

fn in_the_image() {
    let (t, registry) = (Env::new(), Registry::start(false).expect("a registry"));
    let name = format!("{}/with/cache:v1", registry.address);
    build(&t, &["-t", &name, "--cache-to", "type=inline", "--push"]).ok();
    forget(&t, &name);
    let again = build(&t, &["-t", "built", "--cache-from", &name]);
    assert_eq!(steps(&again), (4, 5), "all but the step of the other stage: {again}");
    t.nothing_left();
}

fn what_cannot_be_read_is_left_out() {
    let (t, registry) = (Env::new(), Registry::start(false).expect("a registry"));
    let nothing = format!("{}/no/cache:v1", registry.address);
    build(&t, &["-t", "built", "--cache-from", &nothing]).ok().complains(&["--cache-from", &nothing]);
    t.rctr(["tag", "busybox", &nothing]).ok();
    t.rctr(["push", "-q", &nothing]).ok();
    build(&t, &["-t", "built", "--cache-from", &nothing]).ok().complains(&["no build cache", &nothing]);
    for wrong in ["type=gha", "type=registry", "type=local,src=/x,colour=red"] {
        build(&t, &["--cache-from", wrong])
            .code(125)
            .complains(&["--cache-from", wrong.split(',').next().unwrap_or_default().trim_start_matches("type=")]);
    }
    for wrong in ["type=s3,bucket=x", "type=local", "type=registry,ref=x,compression=zstd"] {
        build(&t, &["--cache-to", wrong]).code(125).complains(&["--cache-to"]);
    }
    build(&t, &["--cache-to", "type=local,dest=/proc/nonsuch"]).code(125).complains(&["--cache-to", "/proc/nonsuch"]);
    t.nothing_left();
}
