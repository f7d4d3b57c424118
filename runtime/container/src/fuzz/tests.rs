//! Seeds, and changes of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A seed with some bytes cut out, and others put in.
fn changed(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4), 0usize..5);
    (prop::sample::select(seeds), prop::collection::vec(edit, 0..6)).prop_map(|(mut bytes, edits)| {
        for (at, new, cut) in edits {
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..(at + cut).min(bytes.len()), new);
        }
        bytes
    })
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn specs() -> Vec<Vec<u8>> {
    vec![crate::compile::full().to_string().into_bytes()]
}

/// That what is behind the first error of a configuration is reached, too.
#[test]
fn the_seed_has_no_error() {
    for host in [host(V2), host(HYBRID)] {
        let spec: Spec = serde_json::from_value(crate::compile::full()).unwrap();
        compile(&spec, &host).unwrap_or_else(|error| panic!("{error}"));
    }
}

fn processes() -> Vec<Vec<u8>> {
    vec![crate::compile::full()["process"].to_string().into_bytes(), json!({"cwd": "/", "args": ["x"]}).to_string().into_bytes()]
}

fn option_lists() -> Vec<Vec<u8>> {
    texts(&[
        "ro,nosuid,nodev,noexec,relatime,size=64k,mode=755",
        "rbind,rprivate,rro,idmap=uids=0-1000-10;gids=0-1000-10",
        "bind,remount,rw,atime,nostrictatime,norelatime,copy-symlink,dest-nofollow,tmpcopyup",
        "unbindable,rshared,suid,rdev,symfollow,=,a=b=c,,",
    ])
}

fn shares() -> Vec<Vec<u8>> {
    let spec: Spec = serde_json::from_value(crate::compile::full()).unwrap();
    let compiled = compile(&spec, &host(V2)).unwrap();
    vec![postcard::to_stdvec(&Shared::of(&compiled.plan.process)).unwrap(), postcard::to_stdvec(&Shared::default()).unwrap()]
}

fn answers() -> Vec<Vec<u8>> {
    vec![
        b"\x08\x0a\x10\x01\x52\x06\x08\x04\x10\x02\x20\x01".to_vec(),
        b"\x08\x06\x10\x01\x2a\x11\x0a\x0cpost-restore\x10\x93\x01".to_vec(),
        b"\x08\x01\x10\x00\x38\x05\x4a\x02no".to_vec(),
    ]
}

fn infos() -> Vec<Vec<u8>> {
    texts(&[V2, HYBRID, "35 31 0:32 / /sys/fs/cg\\040roup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"])
}

#[test]
fn the_seeds_themselves() {
    specs().iter().for_each(|seed| spec(seed));
    processes().iter().for_each(|seed| process(seed));
    option_lists().iter().for_each(|seed| options(seed));
    shares().iter().for_each(|seed| shared(seed));
    answers().iter().for_each(|seed| answer(seed));
    infos().iter().for_each(|seed| mountinfo(seed));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_specs(bytes in changed(specs())) {
        spec(&bytes);
    }

    #[test]
    fn changed_processes(bytes in changed(processes())) {
        process(&bytes);
    }

    #[test]
    fn changed_options(bytes in changed(option_lists())) {
        options(&bytes);
    }

    #[test]
    fn changed_shares(bytes in changed(shares())) {
        shared(&bytes);
    }

    #[test]
    fn changed_answers(bytes in changed(answers())) {
        answer(&bytes);
    }

    #[test]
    fn changed_infos(bytes in changed(infos())) {
        mountinfo(&bytes);
    }
}
