//! The node's resolver: a thread that answers the node's pods at the bridge's address.

use std::io::PipeWriter;
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use net::dns::{Config, Names, Resolver};

use crate::host::log;

/// Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    _stop: PipeWriter,
}

/// Answers from now on. What is no name of the cluster is asked of this host's resolvers.
pub(super) fn serve(network: &net::Network, names: Arc<dyn Names>) -> Result<Server> {
    let sockets = net::dns::open_node(network.gateway)?;
    let config = Config { forward: true, resolv_conf: "/etc/resolv.conf".into(), ..Config::default() };
    let resolver = Resolver::of_node(sockets.datagrams, sockets.connections, config, names);
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    let run = move || {
        if let Err(error) = net::dns::serve(resolver, reader.as_fd()) {
            log::failed("answer questions for names", &error);
        }
    };
    std::thread::Builder::new().name("names".into()).spawn(run).context("start a thread")?;
    Ok(Server { _stop: writer })
}
