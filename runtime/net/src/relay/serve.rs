//! The loop of the process that relays. Nothing in it ever blocks but the wait itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Resource, getrlimit};
use sys::{Call, Result};

use super::Relay;
use super::flows::Flows;
use super::slots::Slots;
use super::stream::{DESCRIPTORS, Stream, Turn, reset};
use crate::port::Protocol;

/// Connections at once. More wait in the kernel.
const STREAMS: usize = 1024;
/// Clients of UDP at once. For one more, the one that has been silent for longest is forgotten.
const FLOWS: usize = 1024;
/// After this time without either, whoever has started this takes over again.
const IDLE: Duration = Duration::from_secs(30);
/// How long nothing is accepted when descriptors have run out all the same.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections accepted before others have their turn.
const BURST: usize = 64;
/// The most clients that are turned away at once: as many as a socket lets wait (`net.core.somaxconn`).
const WAITING: usize = 4096;
/// Descriptors for all else.
const OWN: usize = 64;

/// What an event is about: a kind in the upper half, a number in the lower one.
const CONTROL: u64 = 0;
const DOOR: u64 = 1;
const STREAM: u64 = 2;
const FLOW: u64 = 3;

fn data(kind: u64, number: usize) -> EventData {
    EventData::new_u64((kind << 32) | number as u64)
}

/// A port.
struct Door {
    socket: OwnedFd,
    relay: Relay,
}

struct Server {
    epoll: OwnedFd,
    doors: Vec<Door>,
    streams: Slots<Stream>,
    most: usize,
    flows: Flows,
    /// Streams that have more to do.
    again: Vec<usize>,
    /// Nobody is accepted, until this at the latest.
    is_full: Option<Instant>,
    idle: Instant,
}

/// Relays until `control` ends, or until nobody has needed it for a while. The sockets do not block; those of TCP listen.
///
/// # Errors
/// There are no descriptors or no memory for the loop itself.
pub fn serve(control: OwnedFd, doors: Vec<(OwnedFd, Relay)>) -> Result<()> {
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    let room = room(limit.saturating_sub(OWN + doors.len()));
    serve_within(control, doors, room)
}

/// Nobody serves what waits at this door: connections are reset, so that clients know of it, and datagrams are lost.
pub fn turn_away(door: impl AsFd, protocol: Protocol) {
    // Those that come meanwhile have their turn as well, but not for ever.
    for _ in 0..WAITING {
        let gone = match protocol {
            Protocol::Tcp => accept_with(&door, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map(|client| reset(&client)),
            _ => sys::datagram::receive(&door, &mut []).map(drop),
        };
        if matches!(gone, Err(errno) if !matches!(errno, Errno::CONNABORTED | Errno::INTR)) {
            return;
        }
    }
}

/// The same with so many streams and flows at most.
pub(super) fn serve_within(control: OwnedFd, doors: Vec<(OwnedFd, Relay)>, (streams, flows): (usize, usize)) -> Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC).call(|| "epoll_create1()")?;
    epoll::add(&epoll, &control, data(CONTROL, 0), EventFlags::IN | EventFlags::RDHUP).call(|| "epoll_ctl()")?;
    let mut server = Server {
        epoll,
        doors: doors.into_iter().map(|(socket, relay)| Door { socket, relay }).collect(),
        streams: Slots::new(),
        most: streams,
        flows: Flows::new(flows),
        again: Vec::new(),
        is_full: None,
        idle: Instant::now(),
    };
    server.open_doors().call(|| "epoll_ctl()")?;
    let mut events = Vec::with_capacity(128);
    loop {
        match epoll::wait(&server.epoll, spare_capacity(&mut events), server.timeout().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(sys::Error::new("epoll_wait()", errno)),
        }
        if server.round(&mut events) {
            return Ok(());
        }
    }
}

/// How many streams and flows there is room for.
fn room(descriptors: usize) -> (usize, usize) {
    let flows = FLOWS.min(descriptors / 4);
    (STREAMS.min((descriptors - flows) / DESCRIPTORS).max(1), flows.max(1))
}

impl Server {
    /// Deals with what has happened. True when it is time to end.
    fn round(&mut self, events: &mut Vec<Event>) -> bool {
        let now = Instant::now();
        if self.is_used() || !events.is_empty() {
            self.idle = now;
        }
        for Event { data, .. } in events.drain(..) {
            let number = (data.u64() & u64::from(u32::MAX)) as usize;
            match data.u64() >> 32 {
                CONTROL => return true,
                DOOR => self.on_door(number, now),
                STREAM => self.turn(number, now),
                _ => {
                    let doors = &self.doors;
                    let door = |at: usize| doors.get(at).map(|door| door.socket.as_fd());
                    self.flows.pass_out(number, door, now);
                }
            }
        }
        for number in std::mem::take(&mut self.again) {
            self.turn(number, now);
        }
        self.flows.sweep(now);
        if self.is_full.is_some_and(|until| until <= now) {
            self.is_full = None;
            let _ = self.open_doors();
        }
        !self.is_used() && now.duration_since(self.idle) >= IDLE
    }

    fn is_used(&self) -> bool {
        self.streams.len() > 0 || !self.flows.is_empty()
    }

    fn timeout(&self) -> Option<Timespec> {
        if !self.again.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let idle = (!self.is_used()).then(|| self.idle + IDLE);
        let due = [idle, self.flows.due(), self.is_full.filter(|_| self.streams.len() < self.most)].into_iter().flatten().min()?;
        // A moment too early would be a round for nothing.
        Timespec::try_from(due.saturating_duration_since(Instant::now()) + Duration::from_micros(50)).ok()
    }

    fn open_doors(&self) -> rustix::io::Result<()> {
        for (number, door) in self.doors.iter().enumerate() {
            match epoll::add(&self.epoll, &door.socket, data(DOOR, number), EventFlags::IN) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// No more clients of TCP for now.
    fn close_doors(&mut self, until: Instant) {
        self.is_full = Some(until);
        for door in self.doors.iter().filter(|door| door.relay.port.protocol == Protocol::Tcp) {
            let _ = epoll::delete(&self.epoll, &door.socket);
        }
    }

    fn on_door(&mut self, number: usize, now: Instant) {
        match self.doors.get(number).map(|door| door.relay.port.protocol) {
            Some(Protocol::Tcp) => self.accept(number, now),
            Some(_) => self.datagrams(number, now),
            None => {}
        }
    }

    fn accept(&mut self, number: usize, now: Instant) {
        for _ in 0..BURST {
            if self.streams.len() >= self.most {
                // Until one of them ends.
                return self.close_doors(now + IDLE);
            }
            let door = &self.doors[number];
            match accept_with(&door.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(client) => {
                    if let Some(stream) = Stream::open(client, door.relay.target()) {
                        self.begin(stream, now);
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(_) => return self.close_doors(now + PAUSE),
            }
        }
    }

    fn begin(&mut self, stream: Stream, now: Instant) {
        let at = self.streams.put(stream);
        let edges = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let sides = self.streams.get(at).map(Stream::sides);
        let watch = |side: &BorrowedFd<'_>| epoll::add(&self.epoll, side, data(STREAM, at), edges).is_ok();
        if sides.is_some_and(|sides| sides.iter().all(watch)) {
            self.turn(at, now);
        } else {
            drop(self.streams.take(at));
        }
    }

    fn turn(&mut self, at: usize, now: Instant) {
        match self.streams.get_mut(at).map(Stream::turn) {
            Some(Turn::GoesOn) if !self.again.contains(&at) => self.again.push(at),
            Some(Turn::Over) => {
                drop(self.streams.take(at));
                // There is room for one again.
                self.is_full = self.is_full.map(|until| until.min(now));
            }
            _ => {}
        }
    }

    fn datagrams(&mut self, number: usize, now: Instant) {
        let Some(door) = self.doors.get(number) else { return };
        let epoll = self.epoll.as_fd();
        let watch = |at: usize, socket: BorrowedFd<'_>| epoll::add(epoll, socket, data(FLOW, at), EventFlags::IN).is_ok();
        self.flows.pass_in((number, door.socket.as_fd()), door.relay.target(), now, watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_some_whatever_the_limit() {
        assert_eq!(room(1 << 20), (STREAMS, FLOWS));
        let (streams, flows) = room(960);
        assert!(streams * DESCRIPTORS + flows <= 960 && streams >= 100 && flows >= 100, "{streams} {flows}");
        assert_eq!(room(0), (1, 1));
    }
}
