//! `noded control-plane`: the API, the scheduler and the controllers of a cluster. It needs no root.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use engine::Ipv4Net;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::plane;
use crate::config::{Config, Control, Ports};
use crate::host::log::{Level, say};
use crate::host::memory;
use crate::host::notify::Notify;

/// Threads that run tasks.
const WORKERS: usize = 2;

/// What is said here counts; for the rest the configuration's section `[control]`.
#[derive(Debug, clap::Args)]
pub(crate) struct ControlPlaneArgs {
    #[command(flatten)]
    common: crate::cli::Args,
    /// Where store, keys and the administrator's kubeconfig are kept
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// The etcd that keeps the objects, for several control-plane hosts: etcd://HOST:PORT,HOST:PORT, and /PREFIX of our keys;
    /// by default a file keeps them
    #[arg(long, value_name = "ADDRESS")]
    store: Option<String>,
    /// Whom to trust as etcd, PEM: TLS is spoken with it
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// The certificate that etcd is shown, PEM
    #[arg(long, value_name = "FILE")]
    store_certificate: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    store_key: Option<PathBuf>,
    /// Where the API listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// A name or address by which clients reach it; the first one is in the kubeconfig
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Fixed bearer tokens: lines of TOKEN,NAME,UID,"GROUP,GROUP"
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Addresses of services
    #[arg(long, value_name = "ADDRESS/BITS")]
    service_range: Option<Ipv4Net>,
    /// Addresses of pods; each node gets a part
    #[arg(long, value_name = "ADDRESS/BITS")]
    pod_range: Option<Ipv4Net>,
    /// The prefix of a node's part
    #[arg(long, value_name = "BITS")]
    node_prefix: Option<u8>,
    /// Ports of nodes that lead to services
    #[arg(long, value_name = "FIRST-LAST")]
    node_ports: Option<Ports>,
    /// Seconds of silence after which a node is not ready
    #[arg(long, value_name = "SECONDS")]
    node_silence: Option<u64>,
    /// Seconds after which pods that say nothing about it leave a node that is not ready
    #[arg(long, value_name = "SECONDS")]
    eviction: Option<u64>,
}

impl ControlPlaneArgs {
    /// The settings with what is said here.
    fn over(self, control: &mut Control) {
        fn set<T>(value: Option<T>, place: &mut T) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(self.data.and_then(|data| std::path::absolute(data).ok()), &mut control.folder);
        set(self.store, &mut control.store);
        set(self.store_ca, &mut control.store_ca);
        set(self.store_certificate, &mut control.store_certificate);
        set(self.store_key, &mut control.store_key);
        set(self.listen, &mut control.listen);
        set(Some(self.names).filter(|names| !names.is_empty()), &mut control.names);
        set(self.token_file, &mut control.tokens);
        set(self.service_range, &mut control.service_cidr);
        set(self.pod_range, &mut control.pod_cidr);
        set(self.node_prefix, &mut control.node_prefix);
        set(self.node_ports, &mut control.node_ports);
        set(self.node_silence, &mut control.node_silence);
        set(self.eviction, &mut control.eviction);
    }
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(args: ControlPlaneArgs) -> Result<()> {
    let mut control = Config::load(args.common.config.as_deref())?.control;
    args.over(&mut control);
    control.check()?;
    let config = control.plane(plane::own_address())?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().context("make threads")?;
    // the store marks its end when the last task is gone, which is when the runtime is dropped
    runtime.block_on(async {
        let plane = control::serve(config).await?;
        let _memory = tokio::spawn(memory::give_back());
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
        plane.end().await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: ControlPlaneArgs,
    }

    fn control(words: &[&str]) -> Control {
        let mut control = Control { names: vec!["a".to_owned()], eviction: 7, ..Control::default() };
        Line::try_parse_from(["x"].iter().chain(words)).unwrap().args.over(&mut control);
        control
    }

    #[test]
    fn flags_count_and_the_file_for_the_rest() {
        let unchanged = control(&[]);
        assert_eq!((unchanged.names.as_slice(), unchanged.eviction), (&["a".to_owned()][..], 7));
        let words =
            ["--name", "b", "--data", "state", "--node-ports", "1-2", "--node-silence", "9", "--service-range", "10.1.0.0/16"];
        let new = control(&words);
        assert_eq!((new.names.as_slice(), new.eviction, new.node_silence), (&["b".to_owned()][..], 7, 9));
        assert_eq!((new.node_ports, new.service_cidr.to_string().as_str()), ("1-2".parse().unwrap(), "10.1.0.0/16"));
        // a folder on the command line is one of where the command is given
        assert!(new.folder.is_absolute() && new.folder.ends_with("state"));
    }
}
