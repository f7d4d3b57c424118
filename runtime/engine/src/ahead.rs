//! What a start needs that depends on nothing of the container but its id: begun in a thread of its own, on another processor, while the
//! container is being made.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;

use container::cgroup::Housing;
use launch::Sealed;
use rustix::process::Pid;
use sys::Call;
use sys::spawn::Home;

use crate::config::Config;
use crate::error::During;
use crate::network::Network;
use crate::request::NetworkMode;
use crate::{Engine, Error, names};

/// The start of a container that is made meanwhile. Dropping it leaves nothing: a monitor that is told nothing ends with its socket.
#[derive(Debug)]
pub struct Ahead {
    pub(crate) id: String,
    /// None if it needs more than the id.
    pub(crate) network: Coming<Result<Option<Network>, Error>>,
    /// The socket of a monitor that waits for its first message, and its number.
    pub(crate) monitor: Coming<Result<(OwnedFd, Pid), Error>>,
}

/// What the thread makes.
#[derive(Debug)]
pub(crate) struct Coming<T>(Receiver<T>);

impl<T> Coming<T> {
    /// Waits for it, not for the thread's end.
    pub(crate) fn wait(self) -> T {
        self.0.recv().unwrap_or_else(|_| unreachable!("the thread sends it, or panics"))
    }
}

impl Engine {
    /// Begins the start of a container with this network that [`Engine::create_ahead`] will make and [`Engine::start_ahead`] start.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub fn ahead(&self, network: &NetworkMode) -> Result<Ahead, Error> {
        Ahead::begin(&self.config, names::new_id()?, network, false)
    }

    /// The same with a monitor that is a child of this process's parent: of a service manager, which watches it from then on.
    ///
    /// # Errors
    /// As [`Engine::ahead`].
    pub fn ahead_of_service(&self, network: &NetworkMode) -> Result<Ahead, Error> {
        Ahead::begin(&self.config, names::new_id()?, network, true)
    }
}

impl Ahead {
    pub(crate) fn begin(config: &Config, id: String, network: &NetworkMode, sibling: bool) -> Result<Ahead, Error> {
        let (config, named, mode) = (config.clone(), id.clone(), network.clone());
        let ((network, network_made), (monitor, monitor_made)) = (channel(), channel());
        let work = move || {
            let make_network = || drop(network.send(Network::early(&config, &mode)));
            // The network first, which is asked for first. Root of a home would not find back from there.
            let back = sys::ns::is_first_of_users();
            let came_back =
                if back { sys::ns::coming_back(make_network).during(|| "come back from a new network") } else { Ok(()) };
            let made = came_back.and_then(|()| spawn(&config, &named, sibling));
            let (made, mount) = made.map_or_else(|error| (Err(error), None), |(made, mount)| (Ok(made), mount));
            let _ = monitor.send(made);
            if !back {
                make_network();
            }
            // Takes its time, for which nobody waits.
            drop(mount);
        };
        let thread = Builder::new().name("ahead".to_owned()).spawn(work);
        thread.call(|| "clone3(CLONE_THREAD)").during(|| "begin a start")?;
        Ok(Ahead { id, network: Coming(network_made), monitor: Coming(monitor_made) })
    }
}

/// Starts the monitor, which waits for its first message on the socket whose other end is returned. It is executed from a descriptor
/// that nobody can write to, so that a container that gets hold of it cannot change the program on the host (CVE-2019-5736). Returned, too,
/// is the mount that this took.
fn spawn(config: &Config, id: &str, sibling: bool) -> Result<((OwnedFd, Pid), Option<OwnedFd>), Error> {
    let what = || format!("start {}", config.monitor.display());
    let (server, client) = sys::socket::pair().during(|| "make the monitor's socket")?;
    let Sealed { program, mount } = launch::seal(&config.monitor).during(what)?;
    let args = [c"rctr-monitor".to_owned(), CString::new(id).unwrap_or_default()];
    // The unit of systemd that this command belongs to may end before the container does. Where there is no other cgroup for the monitor, it
    // stays in that one.
    config.move_in()?;
    let housing = config.hierarchies().and_then(|all| Housing::open(&all, &config.monitors()).map_err(Error::Cgroup));
    let home = housing.as_ref().map_or_else(|_| Home::default(), Housing::home);
    let home = Home { sibling, ..home };
    let pid = sys::spawn::spawn(program, &args, server, home).during(what)?;
    Ok(((client, pid), mount))
}
