//! `noded control-plane`: the API, the scheduler and the controllers of a cluster. It needs no root.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use control::controllers::Times;
use control::objects::Settings;
use tokio::signal::unix::{SignalKind, signal};

use crate::host::log::{Level, say};
use crate::host::notify::Notify;

/// Threads that run tasks.
const WORKERS: usize = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where store, keys and the administrator's kubeconfig are kept
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/noded/control")]
    data: PathBuf,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:6443")]
    listen: SocketAddr,
    /// A name or address by which clients reach it; the first one is in the kubeconfig
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Fixed bearer tokens: lines of TOKEN,NAME,UID,"GROUP,GROUP"
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Addresses of services
    #[arg(long, value_name = "ADDRESS/BITS", default_value = "10.96.0.0/16", value_parser = range)]
    service_range: (Ipv4Addr, u8),
    /// Addresses of pods; each node gets a part
    #[arg(long, value_name = "ADDRESS/BITS", default_value = "10.244.0.0/16", value_parser = range)]
    pod_range: (Ipv4Addr, u8),
    /// The prefix of a node's part
    #[arg(long, value_name = "BITS", default_value_t = 24, value_parser = clap::value_parser!(u8).range(9..=30))]
    node_prefix: u8,
    /// Ports of nodes that lead to services
    #[arg(long, value_name = "FIRST-LAST", default_value = "30000-32767", value_parser = ports)]
    node_ports: (u16, u16),
    /// Seconds of silence after which a node is not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=3600))]
    node_silence: u64,
    /// Seconds after which pods that say nothing about it leave a node that is not ready
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=86400))]
    eviction: u64,
}

/// Reads `10.96.0.0/16`: a beginning and 12 to 29 bits of it that all addresses share.
fn range(text: &str) -> Result<(Ipv4Addr, u8), String> {
    let parsed = text.split_once('/').and_then(|(base, bits)| Some((base.parse::<Ipv4Addr>().ok()?, bits.parse::<u8>().ok()?)));
    let (base, bits) = parsed.ok_or("not an address and a number of bits, such as 10.96.0.0/16")?;
    if !(12..=29).contains(&bits) || u32::from(base).trailing_zeros() < 32 - u32::from(bits) {
        return Err("12 to 29 bits, and the first address of the range".into());
    }
    Ok((base, bits))
}

/// Reads `30000-32767`.
fn ports(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    parsed.filter(|(first, last)| *first > 0 && first <= last).ok_or_else(|| "not two ports, such as 30000-32767".into())
}

/// Refuses parts of a range of pods that are no parts of it, or that nobody can use.
pub(crate) fn node_prefix(all: u8, part: u8) -> Result<(), String> {
    if part < all || !(9..=30).contains(&part) {
        return Err(format!("{part} is not from {} to 30, so that the range of all pods has room for a node's", all.max(9)));
    }
    Ok(())
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: Args) -> Result<()> {
    node_prefix(args.pod_range.1, args.node_prefix).map_err(anyhow::Error::msg).context("--node-prefix")?;
    let tokens = match &args.token_file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => String::new(),
    };
    let mut names = args.names;
    if names.is_empty() {
        // The kubeconfig is for this host; pods reach it by its own address.
        let own = crate::agent::plane::own_address().filter(|_| args.listen.ip().is_unspecified());
        names = ["127.0.0.1".to_owned()].into_iter().chain(own.map(|ip| ip.to_string())).collect();
    }
    let config = control::Config {
        folder: args.data,
        listen: args.listen,
        names,
        tokens,
        settings: Settings {
            service_range: args.service_range,
            node_ports: args.node_ports,
            pod_range: args.pod_range,
            node_prefix: args.node_prefix,
            root: String::new(),
        },
        times: Times {
            node_silence: std::time::Duration::from_secs(args.node_silence),
            eviction: std::time::Duration::from_secs(args.eviction),
        },
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().context("make threads")?;
    // the store marks its end when the last task is gone, which is when the runtime is dropped
    runtime.block_on(async {
        let plane = control::serve(config).await?;
        let notify = Notify::from_environment();
        let mut end = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        notify.ready("serving the Kubernetes API");
        let kubeconfig = plane.kubeconfig.display().to_string();
        say(Level::Info, &format!("serving the Kubernetes API on {}", plane.address), &[("kubeconfig", &kubeconfig)]);
        tokio::select! {
            _ = end.0.recv() => {}
            _ = end.1.recv() => {}
        }
        notify.stopping();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nonsense_is_refused() {
        assert_eq!(range("10.96.0.0/16"), Ok(([10, 96, 0, 0].into(), 16)));
        assert_eq!(ports("30000-32767"), Ok((30000, 32767)));
        assert!(range("10.96.0.1/16").is_err() && range("10.0.0.0/8").is_err() && range("10.96.0.0").is_err());
        assert!(ports("2-1").is_err() && ports("0-9").is_err() && ports("x").is_err() && ports("1-99999").is_err());
    }
}
