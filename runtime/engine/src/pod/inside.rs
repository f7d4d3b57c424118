//! In a pod's network: what has gone through it, and connections to what listens there.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use container::cgroup::{self, Hierarchies};
use sys::Call;
use sys::ns::{kind, setns};

use super::member::pinned;
use super::record::Pod;
use crate::config::Config;
use crate::error::During;
use crate::usage::{Traffic, Usage, interfaces, traffic};
use crate::{Engine, Error};

/// One reading of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodUsage {
    /// All of its containers together.
    pub usage: Usage,
    /// What has gone through its interfaces; none on the host's network.
    pub interfaces: Vec<Traffic>,
}

impl Engine {
    /// Reads what a pod uses; `None` when it is not ready.
    ///
    /// # Errors
    /// No cgroups are mounted; its network cannot be entered.
    pub fn pod_usage(&self, pod: &Pod) -> Result<Option<PodUsage>, Error> {
        if !pod.ready {
            return Ok(None);
        }
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
        let used = cgroup::usage(&hierarchies, &pod.record.cgroup(&self.config)?).map_err(Error::Cgroup)?;
        let interfaces = self.interfaces(pod)?;
        Ok(Some(PodUsage { usage: Usage::new(&used, traffic(&interfaces)), interfaces }))
    }

    /// What has gone through the interfaces of a pod; none on the host's network, and of a pod that is not ready.
    ///
    /// # Errors
    /// Its network cannot be entered.
    pub fn interfaces(&self, pod: &Pod) -> Result<Vec<Traffic>, Error> {
        if !pod.ready || !pod.record.has_network() {
            return Ok(Vec::new());
        }
        // Of the thread, whose network is not its process's.
        let read = || std::fs::read_to_string("/proc/thread-self/net/dev");
        let text = inside(&self.config, pod, read)?.call(|| "read(net/dev)").during(|| "read the traffic of a pod")?;
        Ok(interfaces(&text))
    }

    /// Connects to a port of the pod's loopback: by IPv4, or else by IPv6. On the host's network that is the host's.
    ///
    /// # Errors
    /// [`Error::PodNotReady`]; nobody listens there.
    pub fn pod_connect(&self, given: &str, port: u16, timeout: Duration) -> Result<TcpStream, Error> {
        let pod = self.pod(given)?;
        if !pod.ready {
            return Err(Error::PodNotReady(pod.record.id[..12].to_owned()));
        }
        let connect = || {
            let to = |address: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(address, port), timeout);
            to(Ipv4Addr::LOCALHOST.into()).or_else(|error| to(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))
        };
        let connected = if pod.record.has_network() { inside(&self.config, &pod, connect)? } else { connect() };
        let what = || format!("connect to port {port} of pod {}", &pod.record.id[..12]);
        connected.call(|| format!("connect(127.0.0.1:{port})")).during(what)
    }
}

/// Does `work` in a pod's network, in a thread that ends with that.
fn inside<T: Send>(config: &Config, pod: &Pod, work: impl FnOnce() -> io::Result<T> + Send) -> Result<io::Result<T>, Error> {
    let path = pinned(config, &pod.record.id, "net");
    let what = || format!("enter the network of pod {}", &pod.record.id[..12]);
    let namespace = File::open(&path).call(|| format!("open({path:?})")).during(what)?;
    let apart = || setns(&namespace, kind::NET as i32).map(|()| work());
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pod".to_owned()).spawn_scoped(scope, apart);
        thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    done.call(|| "clone3(CLONE_THREAD)").during(what)?.during(what)
}
