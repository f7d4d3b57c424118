//! `rctr oci` is `rctr-oci`.

use std::path::Path;
use std::process::{Command, Output};

fn both(words: &[&str]) -> Option<(Output, Output)> {
    let rctr = Path::new(env!("CARGO_BIN_EXE_rctr"));
    let own = rctr.with_file_name("rctr-oci");
    if !own.exists() {
        eprintln!("skipped: needs rctr-oci beside rctr (cargo build -p container)");
        return None;
    }
    let run = |command: &mut Command| command.args(words).output().unwrap();
    Some((run(Command::new(rctr).arg("oci")), run(&mut Command::new(own))))
}

#[test]
fn it_behaves_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    for words in [
        &["--version"][..],
        &["--help"],
        &["features"],
        &["--root", root, "list", "-q"],
        &["-root", root, "state", "nobody"],
        &["--root", root, "run", "--no-such-flag", "x"],
    ] {
        let Some((ours, own)) = both(words) else { return };
        assert_eq!((ours.status.code(), &ours.stdout, &ours.stderr), (own.status.code(), &own.stdout, &own.stderr), "{words:?}");
    }
}
