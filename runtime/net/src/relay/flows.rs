//! UDP: each client has a socket of its own towards the container, so that answers find their way back, and come from the address that was
//! asked. A client that has been silent for a while is forgotten, as connection tracking does it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use sys::datagram::{Here, receive, send};

use super::slots::Slots;

/// After this time without a datagram a flow is forgotten. Docker's proxy has the same.
pub(super) const SILENCE: Duration = Duration::from_secs(90);
/// Datagrams dealt with before others in the loop have their turn.
const BURST: usize = 32;

/// Who asks, at which door, and which address of the host: the answer comes from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    door: usize,
    client: SocketAddr,
    asked: Option<Here>,
}

/// One client's datagrams to one port of an address.
#[derive(Debug)]
struct Flow {
    pair: Pair,
    socket: UdpSocket,
    last: Instant,
}

/// All flows.
#[derive(Debug)]
pub(super) struct Flows {
    flows: Slots<Flow>,
    known: HashMap<Pair, usize>,
    most: usize,
    /// None is to be forgotten before this.
    sweep: Option<Instant>,
}

impl Flows {
    pub(super) fn new(most: usize) -> Self {
        Flows { flows: Slots::new(), known: HashMap::new(), most: most.max(1), sweep: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.len() == 0
    }

    /// When to call [`Flows::sweep`].
    pub(super) fn due(&self) -> Option<Instant> {
        self.sweep
    }

    /// Forgets those that have been silent.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.sweep.is_none_or(|sweep| sweep > now) {
            return;
        }
        let silent: Vec<_> = self.flows.iter().filter(|(_, flow)| flow.last + SILENCE <= now).map(|(at, _)| at).collect();
        silent.into_iter().for_each(|at| self.forget(at));
        self.sweep = self.flows.iter().map(|(_, flow)| flow.last + SILENCE).min();
    }

    /// Passes on what clients have sent to the door `number`. Calls `added` with each new flow's number and socket.
    pub(super) fn pass_in(
        &mut self,
        (number, door): (usize, BorrowedFd<'_>),
        to: SocketAddr,
        now: Instant,
        mut added: impl FnMut(usize, BorrowedFd<'_>) -> bool,
    ) {
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for _ in 0..BURST {
            let Ok((length, client, asked)) = receive(door, &mut buffer) else { return };
            // A group's address is nobody's to answer from.
            let pair = Pair { door: number, client, asked: asked.filter(|here| !here.address.is_multicast()) };
            let known = self.known.get(&pair).copied();
            let Some(at) = known.or_else(|| self.begin(pair, to, now, &mut added)) else { continue };
            if let Some(flow) = self.flows.get_mut(at) {
                flow.last = now;
                // Nobody listens there, or there is no room: datagrams may be lost.
                let _ = flow.socket.send(&buffer[..length]);
            }
        }
    }

    /// Passes on what the container has answered.
    pub(super) fn pass_out<'a>(&mut self, at: usize, door: impl Fn(usize) -> Option<BorrowedFd<'a>>, now: Instant) {
        let Some(flow) = self.flows.get_mut(at) else { return };
        let Some(door) = door(flow.pair.door) else { return };
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for _ in 0..BURST {
            // An error is about one that was sent, and is gone with this.
            let Ok(length) = flow.socket.recv(&mut buffer) else { return };
            flow.last = now;
            let _ = send(door, &buffer[..length], &flow.pair.client, flow.pair.asked);
        }
    }

    fn begin(
        &mut self,
        pair: Pair,
        to: SocketAddr,
        now: Instant,
        added: &mut impl FnMut(usize, BorrowedFd<'_>) -> bool,
    ) -> Option<usize> {
        if self.flows.len() >= self.most {
            let idlest = self.flows.iter().min_by_key(|(_, flow)| flow.last).map(|(at, _)| at)?;
            self.forget(idlest);
        }
        let any = if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).and_then(|()| socket.set_nonblocking(true)).ok()?;
        let at = self.flows.put(Flow { pair, socket, last: now });
        self.known.insert(pair, at);
        self.sweep.get_or_insert(now + SILENCE);
        let is_watched = self.flows.get(at).is_some_and(|flow| added(at, flow.socket.as_fd()));
        if !is_watched {
            self.forget(at);
        }
        is_watched.then_some(at)
    }

    fn forget(&mut self, at: usize) {
        if let Some(flow) = self.flows.take(at) {
            self.known.remove(&flow.pair);
        }
    }
}
