//! `noded run`: from the configuration to a served socket, and back to nothing. Containers live on.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::agent;
use crate::cli::{Args, RunArgs};
use crate::config::Config;
use crate::cri;
use crate::host::log::{self, Level, say};
use crate::host::notify::Notify;
use crate::host::{chain, limits, listen, memory};
use crate::node::Node;
use crate::sessions;

/// How long calls that are being done may take after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last answers may take to reach their clients.
const LAST: Duration = Duration::from_millis(200);

/// Threads that run tasks. What blocks has threads of its own, which go when nothing blocks.
const WORKERS: usize = 2;

/// Threads that block at once. A stop that waits for its container has one, and a node may stop all its pods together.
const BLOCKING: usize = 1024;

/// Reads the configuration, and does nothing else.
pub(crate) fn check(args: &Args) -> Result<()> {
    Config::load(args.config.as_deref())?.registries().map(drop)
}

/// Takes this node out of the kernel's tables. Not while it runs: it would put itself there again.
pub(crate) fn leave(args: &Args) -> Result<()> {
    let config = Config::load(args.config.as_deref())?;
    let _lock = listen::only_one(&config.run)?;
    agent::services::leave(&config.bridge)?;
    agent::network::leave(&config)
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: &RunArgs, passed: Vec<OwnedFd>) -> Result<()> {
    let config = Config::load(args.common.config.as_deref())?;
    let config = if args.in_cluster() { config.in_cluster() } else { config };
    ensure!(rustix::process::geteuid().is_root(), "containers need root");
    log::set_level(config.log.level);
    limits::raise(config.agent.pods);
    let _lock = listen::only_one(&config.run)?;
    let listener = listen::socket(passed, &config.cri.socket, config.cri.group)?;
    let streams =
        std::net::TcpListener::bind(config.streaming.listen).with_context(|| format!("listen on {}", config.streaming.listen))?;
    streams.set_nonblocking(true).context("set up the socket of streams")?;
    let base = format!("http://{}", streams.local_addr().context("set up the socket of streams")?);
    let node = Arc::new(Node::open(config, &base)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()
        .context("make threads")?;
    let served = runtime.block_on(serve(&node, listener, streams, args));
    // Whatever still blocks, such as a pull, is cut off: it leaves nothing half done.
    runtime.shutdown_background();
    served
}

async fn serve(
    node: &Arc<Node>,
    listener: std::os::unix::net::UnixListener,
    streams: std::net::TcpListener,
    args: &RunArgs,
) -> Result<()> {
    let notify = Notify::from_environment();
    let mut end = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut reload = signal(SignalKind::hangup())?;
    let (stop, stopping) = watch::channel(false);
    let connections = listen::connections(listener, node.config().cri.group)?;
    let streams = tokio::net::TcpListener::from_std(streams).context("serve streams")?;
    tokio::spawn(memory::give_back());
    // Streams end with the daemon: their clients come again.
    tokio::spawn(sessions::serve(Arc::clone(node), streams));
    let served = tokio::spawn(cri::serve(Arc::clone(node), connections, stopping));
    tokio::pin!(served);
    let agent = agent::start(node, args).await?;
    notify.ready("serving CRI v1");
    say(Level::Info, &format!("serving CRI v1 on {}", node.config().cri.socket.display()), &[]);
    let mut alive = tokio::time::interval(notify.watchdog().unwrap_or(Duration::from_secs(3600)));
    loop {
        tokio::select! {
            done = &mut served => return done.context("serve")?,
            _ = reload.recv() => again(node, &notify, args.common.config.as_deref()),
            _ = alive.tick(), if notify.watchdog().is_some() => notify.alive(),
            () = asked_to_end(&mut end) => break,
        }
    }
    notify.stopping();
    say(Level::Info, "stopping; containers live on", &[]);
    let _ = stop.send(true);
    if let Some(agent) = agent {
        agent.end().await;
    }
    // A client that keeps its connection without asking for anything is not waited for.
    let idle = async {
        node.idle().await;
        tokio::time::sleep(LAST).await;
    };
    tokio::select! {
        done = served => done.context("serve")?,
        () = idle => Ok(()),
        () = tokio::time::sleep(PATIENCE) => Ok(()),
    }
}

async fn asked_to_end((term, int): &mut (Signal, Signal)) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Reads the configuration again. One that is wrong changes nothing.
fn again(node: &Node, notify: &Notify, file: Option<&std::path::Path>) {
    notify.reloading();
    let read = Config::load(file).and_then(|config| config.registries().map(|_| config));
    match read {
        Ok(config) => {
            log::set_level(config.log.level);
            let waiting = node.reload(&config);
            let waits = if waiting.is_empty() { String::new() } else { format!("; waiting for a restart: {}", waiting.join(", ")) };
            say(Level::Info, &format!("configuration read again{waits}"), &[]);
        }
        Err(error) => say(Level::Error, &format!("the configuration stays as it was: {}", chain(error.as_ref())), &[]),
    }
    notify.ready("serving CRI v1");
}
