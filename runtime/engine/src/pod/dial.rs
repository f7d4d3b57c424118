//! A connection to a port of a pod, from inside its network.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use sys::Call;
use sys::ns::{kind, setns};

use crate::error::During;
use crate::{Engine, Error};

/// How long the other end may take. It is on this host.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// Connects to what listens on a port of the pod's loopback interface, IPv4 first; for a pod on the host's network, of the host's.
    ///
    /// # Errors
    /// [`Error::PodNotReady`]; nothing listens there.
    pub fn dial(&self, pod: &str, port: u16) -> Result<TcpStream, Error> {
        let pod = self.pod(pod)?;
        let id = &pod.record.id;
        if !pod.ready {
            return Err(Error::PodNotReady(id[..12].to_owned()));
        }
        let namespace = match pod.record.has_network() {
            true => {
                let path = super::pinned(&self.config, id, "net");
                Some(File::open(&path).call(|| format!("open({path:?})")).during(|| format!("reach pod {}", &id[..12]))?)
            }
            false => None,
        };
        // A thread of its own: it does not come back from where it goes.
        let dialled = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("dial".to_owned()).spawn_scoped(scope, || {
                namespace.map_or(Ok(()), |namespace| setns(&namespace, kind::NET as i32))?;
                connect(port)
            });
            thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let dialled = dialled.call(|| "clone3(CLONE_THREAD)").and_then(|dialled| dialled);
        dialled.during(|| format!("connect to port {port} of pod {}", &id[..12]))
    }
}

fn connect(port: u16) -> sys::Result<TcpStream> {
    let first = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE);
    let connected = first.or_else(|error| {
        // The first one says more: most pods have no IPv6.
        TcpStream::connect_timeout(&SocketAddr::from((Ipv6Addr::LOCALHOST, port)), PATIENCE).map_err(|_| error)
    });
    connected.call(|| format!("connect(127.0.0.1:{port})"))
}
