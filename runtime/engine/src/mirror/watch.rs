//! What tells that pods and containers have changed: inotify(7) for their files, and pidfds for their processes, under one epoll(7).

use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{Timespec, epoll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use sys::Call;

/// A folder whose files are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folder {
    /// One with a folder for each pod.
    Pods,
    /// One with a folder for each container.
    Containers,
    Pod(String),
    Container(String),
}

/// What has changed since the last look.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) pods: BTreeSet<String>,
    pub(super) containers: BTreeSet<String>,
    /// More has happened than the kernel keeps, or a folder above all others is gone.
    pub(super) lost: bool,
}

/// Queues of what has happened. The kernel puts it there before the call that did it returns.
#[derive(Debug)]
pub(super) struct Watch {
    queue: OwnedFd,
    ready: OwnedFd,
    folders: HashMap<i32, Folder>,
    /// Containers by the number that stands for their process.
    processes: HashMap<u64, String>,
    next: u64,
}

/// A process that is watched while this is there. Its end is told once.
#[derive(Debug)]
pub(super) struct Process {
    _alive: OwnedFd,
    number: u64,
}

/// Stands for the queue of files.
const FILES: u64 = 0;

/// Ends of processes that are taken at once.
const AT_ONCE: usize = 64;

/// Files whose change is one of their pod or container.
const TELLING: [&[u8]; 4] = [b"config.json", b"status.json", b"network.json", b"stopped"];

impl Watch {
    pub(super) fn new() -> sys::Result<Watch> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).call(|| "inotify_init1()")?;
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC).call(|| "epoll_create1()")?;
        let of = epoll::EventData::new_u64(FILES);
        epoll::add(&ready, &queue, of, epoll::EventFlags::IN).call(|| "epoll_ctl(EPOLL_CTL_ADD, inotify)")?;
        Ok(Watch { queue, ready, folders: HashMap::new(), processes: HashMap::new(), next: FILES + 1 })
    }

    /// Watches a folder; answers its number. One that is watched already keeps it.
    pub(super) fn folder(&mut self, path: &Path, folder: Folder) -> sys::Result<i32> {
        let made = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        let flags = made | WatchFlags::MODIFY | WatchFlags::ONLYDIR;
        let number = inotify::add_watch(&self.queue, path, flags).call(|| format!("inotify_add_watch({path:?})"))?;
        self.folders.insert(number, folder);
        Ok(number)
    }

    /// A folder is none of ours any more.
    pub(super) fn forget(&mut self, number: i32) {
        if self.folders.remove(&number).is_some() {
            // The kernel does it by itself for one that was removed.
            let _ = inotify::remove_watch(&self.queue, number);
        }
    }

    /// How much is watched.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.folders.len() + self.processes.len()
    }

    /// Watches the first process of a container.
    pub(super) fn process(&mut self, container: &str, pid: u32, start_time: u64) -> sys::Result<Process> {
        let process = Process { _alive: sys::process::open(pid, start_time)?, number: self.next };
        let of = epoll::EventData::new_u64(process.number);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&self.ready, &process._alive, of, flags).call(|| format!("epoll_ctl(EPOLL_CTL_ADD, {pid})"))?;
        self.processes.insert(self.next, container.to_owned());
        self.next += 1;
        Ok(process)
    }

    /// A process is none of ours any more.
    pub(super) fn release(&mut self, process: Process) {
        self.processes.remove(&process.number);
    }

    /// What has changed since the last call. Does not wait.
    pub(super) fn changes(&mut self) -> sys::Result<Changes> {
        let mut changes = Changes::default();
        let mut files = false;
        loop {
            let mut events = [MaybeUninit::<epoll::Event>::uninit(); AT_ONCE];
            let none = Timespec { tv_sec: 0, tv_nsec: 0 };
            let events = match epoll::wait(&self.ready, &mut events, Some(&none)) {
                Err(Errno::INTR) => continue,
                events => events.call(|| "epoll_wait()")?.0,
            };
            for event in events.iter() {
                match event.data.u64() {
                    FILES => files = true,
                    process => changes.containers.extend(self.processes.remove(&process)),
                }
            }
            if events.len() < AT_ONCE {
                break;
            }
        }
        if files {
            self.read(&mut changes)?;
        }
        Ok(changes)
    }

    fn read(&mut self, changes: &mut Changes) -> sys::Result<()> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        loop {
            let event = match reader.next() {
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                event => event.call(|| "read(inotify)")?,
            };
            changes.lost |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            let gone = event.events().contains(ReadFlags::IGNORED);
            let folder = if gone { self.folders.remove(&event.wd()) } else { self.folders.get(&event.wd()).cloned() };
            let name = event.file_name().map(std::ffi::CStr::to_bytes);
            if let Some(folder) = folder {
                changes.note(folder, name, gone);
            }
        }
    }
}

impl Changes {
    /// `gone`: the folder itself was removed.
    fn note(&mut self, folder: Folder, name: Option<&[u8]>, gone: bool) {
        let telling = || gone || name.is_some_and(|name| TELLING.contains(&name));
        // Others begin with a dot: they are being made or removed.
        let id = || name.filter(|name| name.len() == 64).and_then(|name| String::from_utf8(name.to_vec()).ok());
        match folder {
            Folder::Pods | Folder::Containers if gone => self.lost = true,
            Folder::Pods => self.pods.extend(id()),
            Folder::Containers => self.containers.extend(id()),
            Folder::Pod(id) if telling() => drop(self.pods.insert(id)),
            Folder::Container(id) if telling() => drop(self.containers.insert(id)),
            Folder::Pod(_) | Folder::Container(_) => {}
        }
    }
}
