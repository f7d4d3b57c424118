//! What is undone when a container has ended.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use launch::Status;
use monitor::{Event, Request, Stream};
use rustix::net::netlink::NETFILTER;

use crate::fixture::{Client, Fixture, able, spawning};

#[test]
fn files_go_and_held_sockets_are_free_before_the_end_is_told_and_trees_after_that() {
    if !able() {
        return;
    }
    let mut fixture = Fixture::new("exit 0");
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    let slot = fixture.fd(port.into());
    let (lease, missing, container) = (fixture.path("lease"), fixture.path("missing"), fixture.path("container"));
    std::fs::write(&lease, "").unwrap();
    std::fs::create_dir_all(container.join("upper/a/b")).unwrap();
    std::os::unix::fs::symlink("/", container.join("upper/root")).unwrap();
    fixture.launch.hold = vec![slot];
    fixture.launch.cleanup.unlink = vec![missing, lease.clone()];
    fixture.launch.cleanup.trees.push(container.clone());
    let mut client = fixture.start(Some(false));
    client.started();
    fixture.fds.clear();
    assert_eq!(client.exit().code, 0);
    let held = spawning();
    TcpListener::bind(address).expect("the port is still held");
    drop(held);
    assert!(!lease.exists());
    assert_eq!(client.monitor_ended(), Some(0));
    assert!(!container.exists() && Path::new("/etc").exists());
}

/// A cgroup of the test's own.
struct Group(PathBuf);

impl Group {
    fn new(hierarchy: &str, name: &str) -> Option<Group> {
        let path = Path::new("/sys/fs/cgroup").join(hierarchy).join(format!("monitor-{name}-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Group(path)),
            Err(_) => {
                println!("skipped: needs cgroups in /sys/fs/cgroup/{hierarchy}");
                None
            }
        }
    }

    fn fd(&self) -> OwnedFd {
        sys::fs::open_dir(&self.0).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        let _ = std::fs::remove_dir(self.0.join("child"));
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Where cgroup v2 is.
fn unified() -> &'static str {
    if Path::new("/sys/fs/cgroup/cgroup.procs").exists() { "." } else { "unified" }
}

fn in_group(script: &str, group: &Group, with_kill: bool) -> Fixture {
    let mut fixture = Fixture::new(script);
    let slot = fixture.fd(group.fd());
    fixture.launch.plan.cgroup.join = vec![slot];
    fixture.launch.kill = with_kill.then_some(slot);
    fixture.launch.cleanup.cgroups = vec![group.0.clone()];
    fixture
}

#[test]
fn what_outlives_init_is_killed_and_its_cgroup_removed() {
    if !able() {
        return;
    }
    for (hierarchy, kill) in [(unified(), true), ("pids", false)] {
        let Some(group) = Group::new(hierarchy, "rest") else { continue };
        std::fs::create_dir(group.0.join("child")).unwrap();
        let fixture = in_group("sleep 300 & echo $!; exit 6", &group, kill);
        let fixture = fixture.change(|launch| launch.plan.unshare &= !sys::ns::kind::PID);
        let mut client = fixture.start(Some(false));
        assert_eq!(client.exit().code, 6);
        let sleeper: u32 = client.text().trim().parse().unwrap();
        assert_eq!(sys::process::start_time(sleeper), None, "{hierarchy}: it still runs");
        assert_eq!(client.monitor_ended(), Some(6));
        assert!(!group.0.exists(), "{hierarchy}: the cgroup is still there");
    }
}

#[test]
fn a_failed_start_removes_the_cgroup() {
    if !able() {
        return;
    }
    let Some(group) = Group::new(unified(), "failed") else { return };
    let fixture = in_group("", &group, true).change(|launch| launch.plan.process.args = vec!["/nothing".into()]);
    let mut client = fixture.start(None);
    while !matches!(client.next(), Some(Event::Failed { .. })) {}
    assert!(!group.0.exists());
}

#[test]
fn want_of_memory_is_recorded() {
    if !able() {
        return;
    }
    let Some(group) = Group::new("memory", "oom") else { return };
    std::fs::write(group.0.join("memory.limit_in_bytes"), "16M").unwrap();
    let mut fixture = in_group("tail /dev/zero; exit 0", &group, false);
    fixture.launch.memory = Some(fixture.launch.plan.cgroup.join[0]);
    let mut client = fixture.start(Some(false));
    let exit = client.exit();
    assert!(exit.oom, "{exit:?} {}", String::from_utf8_lossy(&client.stderr));
    assert_eq!(client.monitor_ended(), Some(0));
    assert!(!group.0.exists());
}

#[test]
fn nftables_batches_are_sent() {
    if !able() {
        return;
    }
    // A network namespace for this thread; what it starts inherits it.
    sys::ns::unshare(sys::ns::kind::NET as i32).unwrap();
    let nft = sys::netlink::socket(Some(NETFILTER)).unwrap();
    sys::socket::send(&nft, &batch(0, 0x400), &[]).unwrap();
    assert!(table_exists(&nft));
    let gone = vec![batch(2, 0), batch(2, 0)];
    let mut fixture = Fixture::new("exit 0");
    fixture.launch.netfilter = Some(fixture.fd(sys::netlink::socket(Some(NETFILTER)).unwrap()));
    fixture.launch.cleanup.nftables = gone;
    let mut client: Client = fixture.start(Some(false));
    assert_eq!(client.exit().code, 0);
    assert!(!table_exists(&nft));
}

#[test]
fn a_discarded_tree_has_lost_its_name_when_the_end_is_told_and_its_files_soon_after() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("exit 0");
    let folder = fixture.path("shared/folder");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    let fixture = fixture.change(|launch| launch.cleanup.discard = vec![folder.clone()]);
    let mut client = fixture.start(Some(false));
    assert_eq!(client.exit().code, 0);
    assert!(!folder.exists());
    // Nobody could read a record of the end there.
    assert!(matches!(fixture.status(), Some(Status::Running { .. })));
    assert_eq!(client.monitor_ended(), Some(0));
    assert_eq!(std::fs::read_dir(fixture.path("shared")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_taken_out_of_sight_has_a_record_of_the_end() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("exit 3");
    let (folder, obstacle) = (fixture.path("shared/folder"), fixture.path("shared/.gone-folder"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(obstacle, "").unwrap();
    let fixture = fixture.change(|launch| launch.cleanup.discard = vec![folder.clone()]);
    let mut client = fixture.start(Some(false));
    assert_eq!(client.exit().code, 3);
    assert!(folder.exists() && matches!(fixture.status(), Some(Status::Exited(exit)) if exit.code == 3));
}

#[test]
fn the_one_in_charge_is_so_until_everything_is_undone() {
    if !able() {
        return;
    }
    let mut fixture = Fixture::new("exit 0");
    let path = fixture.path("charge");
    let lock = std::fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    fixture.launch.charge = Some(fixture.fd(lock.into()));
    let mut client = fixture.start(Some(false));
    client.started();
    fixture.fds.clear();
    // Whoever waits for the lock finds all undone.
    std::fs::File::open(&path).unwrap().lock().unwrap();
    assert!(!fixture.path("run").exists());
    assert_eq!(client.exit().code, 0);
}

/// One nf_tables message (NFT_MSG_NEWTABLE 0, GETTABLE 1, DELTABLE 2) about the table `ip t`.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + body.len() as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(1 | flags).to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(body);
    bytes
}

/// `nfgenmsg` of family ip, and NFTA_TABLE_NAME "t".
fn table(kind: u16, flags: u16) -> Vec<u8> {
    let name = [&6u16.to_ne_bytes()[..], &1u16.to_ne_bytes(), b"t\0\0\0"].concat();
    message(0x0a00 | kind, flags, &[&[2, 0, 0, 0][..], &name].concat())
}

fn batch(kind: u16, flags: u16) -> Vec<u8> {
    // NFNL_MSG_BATCH_BEGIN and END for the subsystem 10.
    [message(0x10, 0, &[0, 0, 0, 10]), table(kind, flags), message(0x11, 0, &[0, 0, 0, 10])].concat()
}

fn table_exists(nft: &OwnedFd) -> bool {
    sys::socket::send(nft, &table(1, 0), &[]).unwrap();
    let mut buffer = [0; 4096];
    sys::socket::receive(nft, &mut buffer).unwrap();
    // An answer is either the table or NLMSG_ERROR.
    u16::from_ne_bytes([buffer[4], buffer[5]]) != 2
}

#[test]
fn a_connection_at_the_very_end_gets_its_answer() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("read line; exit 5").change(|launch| launch.stdin = true);
    let mut client = fixture.start(Some(true));
    client.started();
    // Connections that the monitor has not yet seen when it learns of the end.
    client.signal_monitor(rustix::process::Signal::STOP);
    client.send(&Request::Signal(9));
    let mut waiters: Vec<Client> = (0..3).map(|_| fixture.connect()).collect();
    waiters.iter_mut().for_each(|waiter| waiter.send(&Request::Wait));
    client.signal_monitor(rustix::process::Signal::CONT);
    for waiter in &mut waiters {
        assert_eq!(waiter.exit().code, 137);
    }
    assert_eq!(client.exit().code, 137);
    assert_eq!(fixture.log(Stream::Stdout), "");
}
