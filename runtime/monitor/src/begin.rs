//! From the first packet to a running program. Only the inherited connection is served here, one request after the other.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use launch::{Created, Exit, Failure, Health, Kind, Nanos, Report, Running, Slot, Status, Target};
use monitor::log::Writer;
use monitor::{Event, Launch, MAX_PACKET, Request, now};
use net::dns::Resolver;
use rustix::io::Errno;
use sys::{Error, Result};

use crate::client::{Client, Listens};
use crate::health::Checking;
use crate::hooks::Staged;
use crate::memory::Memory;
use crate::relay::Relays;
use crate::session::{Container, Session};
use crate::task::{self, INIT, Streams, Task};
use crate::{cleanup, end};

/// `CLONE_NEWPID`.
const OWN_PIDS: u64 = 0x2000_0000;

/// Makes and starts what the inherited connection asks for. `None` when nothing runs: all is undone, and a client that is still there
/// knows why.
///
/// # Errors
/// When the connection ends or says nothing sensible before there is anything to undo.
pub(crate) fn begin(signals: OwnedFd, socket: OwnedFd) -> Result<Option<Session>> {
    let (bytes, fds) = sys::socket::receive_whole(&socket, MAX_PACKET)?;
    let launch = match postcard::from_bytes(&bytes) {
        Ok(Request::Launch(launch)) => launch,
        _ => return Err(Error::new("recvmsg()", Errno::PROTO)),
    };
    drop(bytes);
    let mut client = Client::new(socket);
    let launch = *launch;
    let mut made = match make(&launch, &fds) {
        Ok(made) => made,
        Err(failure) => {
            failed(&launch, fds, &mut client, failure);
            // What was sent without waiting is on its way, up to this.
            while !matches!(client.receive(), Some(Request::Start) | None) {}
            client.part();
            return Ok(None);
        }
    };
    if !started(&mut client, &made.created) {
        // The command was killed before it could say so: nothing has run, and there is no end to record.
        let before = made.before.take();
        drop(made);
        end::restore(fds[launch.folder.0 as usize].as_fd(), before);
        undo(&launch, fds);
        cleanup::discard(&launch.cleanup);
        return Ok(None);
    }
    match run(made, &mut client) {
        Ok(begun) => session(signals, client, launch, fds, begun).map(Some),
        Err(failure) => {
            failed(&launch, fds, &mut client, failure);
            client.part();
            Ok(None)
        }
    }
}

/// An init that waits, and the monitor's ends of its streams.
struct Made {
    created: Created,
    streams: Streams,
    /// When it was written down that it runs, and what was written there before.
    since: Nanos,
    before: Option<Vec<u8>>,
    mounts: Option<OwnedFd>,
}

/// A container that runs.
struct Begun {
    init: Task,
    target: Target,
    start_time: u64,
    mounts: Option<OwnedFd>,
}

/// Makes the container. While init builds its root, that it runs is written down: one that ran without a record, on a disk that was full, could
/// be neither stopped nor removed.
fn make(launch: &Launch, fds: &[OwnedFd]) -> std::result::Result<Made, Failure> {
    let names = launch.names.iter().flat_map(|names| [names.datagrams, names.connections]);
    let log = launch.log_file.as_ref().map(|log| log.file);
    let optional =
        [launch.charge, launch.relay_from, launch.memory, launch.kill, launch.netfilter, log].into_iter().flatten().chain(names);
    let relays = launch.relays.iter().map(|relayed| relayed.socket);
    let named = [launch.folder, launch.listener].into_iter().chain(launch.hold.iter().copied()).chain(relays).chain(optional);
    if let Some(Slot(missing)) = named.into_iter().find(|slot| slot.0 as usize >= fds.len()) {
        return Err(Failure::runtime(format!("the request names descriptor {missing} of {}", fds.len())));
    }
    let (stdio, mut streams) = match launch.plan.process.terminal {
        Some(_) => (None, Streams::default()),
        None => {
            let (stdio, streams) = task::pipes(launch.stdin).map_err(broken)?;
            (Some(stdio), streams)
        }
    };
    let folder = fds[launch.folder.0 as usize].as_fd();
    let (since, before) = (now(), end::read(folder));
    let mut mounts = None;
    let staged = launch.hooks.as_ref().map(|hooks| Staged::new(&launch.id, hooks));
    let stages = staged.as_ref().map(|staged| staged as &dyn launch::Stages);
    let mut created = launch::create_meanwhile(&launch.plan, fds, stdio, stages, |pid, start_time| {
        mounts = launch.own_mounts.then(|| mount_namespace(pid)).flatten();
        let health = launch.health.as_ref().map(|_| Health::default());
        let report = Report { restarts: launch.restart.count, health, ..Report::from(Status::Running { pid, start_time, since }) };
        end::try_record(folder, &report).map_err(|error| Failure::runtime(format!("write down that it runs: {error}")))
    })?;
    if let Some(master) = created.terminal.take() {
        streams = task::terminal(master).map_err(broken)?;
    }
    Ok(Made { created, streams, since, before, mounts })
}

/// What keeps the mounts of a process when it ends.
fn mount_namespace(pid: u32) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    open(format!("/proc/{pid}/ns/mnt"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn broken(error: Error) -> Failure {
    Failure::runtime(format!("make streams: {error}"))
}

/// Serves the client until it asks for the start. False when it ends before. One that has asked by now need not hear before that it could:
/// each word wakes it up.
fn started(client: &mut Client, created: &Created) -> bool {
    let mut told = false;
    loop {
        if !told && !client.has_request() {
            client.tell(&Event::Created { pid: created.pid, start_time: created.start_time });
            told = true;
        }
        match client.receive() {
            Some(Request::Start) => return true,
            Some(Request::Attach { stdin }) => {
                client.listens = Listens::First;
                client.feeds = stdin;
            }
            Some(Request::Wait) => client.waits = true,
            Some(_) => client.refuse("the container has not been started yet"),
            None => return false,
        }
    }
}

/// Lets init execute its program, and says so.
fn run(made: Made, client: &mut Client) -> std::result::Result<Begun, Failure> {
    let Made { created, streams, since, mounts, .. } = made;
    let Running { pid, start_time, pidfd, target, .. } = created.start()?;
    client.tell(&Event::Started { pid, start_time });
    Ok(Begun { init: Task { number: INIT, pid, pidfd, started: since, streams, id: String::new() }, target, start_time, mounts })
}

/// What could not be made or started is recorded, undone, and only then told: nothing is left when the command returns.
fn failed(launch: &Launch, fds: Vec<OwnedFd>, client: &mut Client, failure: Failure) {
    let Failure { kind, message, .. } = failure;
    let code = match kind {
        Kind::Runtime => 125,
        Kind::NotExecutable => 126,
        Kind::NotFound => 127,
    };
    if let Some(folder) = fds.get(launch.folder.0 as usize) {
        let exit = Exit { code, finished: now(), error: Some(message.clone()), ..Exit::default() };
        let report = Report { restarts: launch.restart.count, ..Report::from(Status::Exited(exit)) };
        // Nobody could be told of a failure.
        let _ = end::try_record(folder.as_fd(), &report);
    }
    undo(launch, fds);
    client.tell(&Event::Failed { kind, message });
    cleanup::discard(&launch.cleanup);
}

/// Undoes what the engine has prepared. Mounts and the network namespace go with their descriptors, and what is to be held goes last.
fn undo(launch: &Launch, fds: Vec<OwnedFd>) {
    let relayed = |slot: Slot| launch.relays.iter().any(|relayed| relayed.socket == slot);
    let kept = |slot: Slot| launch.hold.contains(&slot) || relayed(slot) || [launch.netfilter, launch.charge].contains(&Some(slot));
    let (held, others): (Vec<_>, Vec<_>) = (0..).zip(fds).partition(|(at, _)| kept(Slot(*at)));
    drop(others);
    let netfilter = held.iter().find(|(at, _)| launch.netfilter == Some(Slot(*at))).map(|(_, fd)| fd);
    cleanup::free(&launch.cleanup, netfilter);
    cleanup::groups(&launch.cleanup, None);
    cleanup::trees(&launch.cleanup);
    cleanup::hide(&launch.cleanup);
}

/// Keeps what is needed from here on, and lets go of the rest.
fn session(signals: OwnedFd, client: Client, launch: Launch, fds: Vec<OwnedFd>, begun: Begun) -> Result<Session> {
    let Begun { init, target, start_time, mounts } = begun;
    let Launch {
        folder,
        listener,
        hold,
        relays,
        relay_from,
        charge,
        netfilter,
        log,
        log_file,
        memory,
        kill,
        cleanup,
        plan,
        restart,
        health,
        names,
        events,
        using,
        log_notes,
        hooks,
        id,
        ..
    } = launch;
    let own_pids = plan.unshare & OWN_PIDS != 0;
    drop(plan);
    // Copies: the table lets go of its own.
    let resolver = names.and_then(|names| {
        let copy = |slot: Slot| fds[slot.0 as usize].try_clone().ok();
        Some(Resolver::new(copy(names.datagrams)?, copy(names.connections)?, names.config))
    });
    let table: Vec<Rc<OwnedFd>> = fds.into_iter().map(Rc::new).collect();
    let get = |slot: Slot| Rc::clone(&table[slot.0 as usize]);
    let folder = get(folder);
    let container = Container {
        log: match &log_file {
            Some(log) => {
                let file = table[log.file.0 as usize].try_clone();
                file.and_then(|file| Ok(Writer::file(file, &log.path, log.limits)?)).ok()
            }
            None => log.and_then(|limits| Container::writer(&folder, limits, &log_notes)),
        },
        limits: log,
        log_notes,
        log_path: log_file.map(|log| (log.path, log.limits)),
        folder,
        target: Some(target),
        start_time,
        memory: memory.map(|slot| Memory::new(get(slot), &cleanup.cgroups)),
        kill: kill.map(get),
        hold: hold.into_iter().map(get).collect(),
        charge: charge.map(get),
        mounts,
        netfilter: netfilter.map(get),
        cleanup,
        own_pids,
        hooks: hooks.map(|hooks| (id, hooks)),
        events,
        using,
        restart,
        health: health.map(Checking::new),
        ending: false,
        stopped: false,
        anew: false,
        kill_at: None,
        frozen: false,
        oom_score: None,
    };
    let listener = get(listener);
    let doors = relays.into_iter().map(|relayed| (get(relayed.socket), relayed.relay)).collect();
    let relays = Relays::new(doors, relay_from.map(get));
    drop(table);
    let mut session = Session {
        signals,
        listener,
        clients: vec![client],
        tasks: vec![init],
        next: INIT,
        container,
        exit: None,
        again: None,
        used: true,
        resolver,
        relays,
    };
    task::unblocking(&session.clients[0].socket)?;
    session.container.oom_score = spare();
    session.container.tell_start();
    Ok(session)
}

/// Tells the kernel to kill anything else first when memory runs out: with its monitor a container would lose its log, its exit
/// status and its cleanup. Returns the value that the container's own processes have instead. Done after init was made, which would
/// inherit it. Needs CAP_SYS_RESOURCE; without that it stays as it is.
fn spare() -> Option<i32> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let before = std::fs::read_to_string(FILE).ok()?.trim().parse().ok()?;
    std::fs::write(FILE, "-999").ok().map(|()| before)
}
