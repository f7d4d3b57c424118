//! Containers of this host. One verb, one file; `rctr` and `noded` call the same verbs.
//!
//! ```text
//! CreateRequest + Image ──merge──▶ Record (config.json)                                     create.rs record.rs
//! Record + root file system ─────▶ OCI Spec ──container::compile──▶ Plan + sources          spec/
//!   overlay ┐
//!   network ┼─ prepared side by side, undone when dropped ──▶ descriptors ──▶ rctr-monitor   prepare.rs start.rs
//!   cgroup  ┘
//!   empty network · monitor: begun ahead, while the record is being made                    ahead.rs
//! Session ◀── Output, Exited                                                                 session.rs
//! ```
//!
//! State on disk, below [`Config::root`] and [`Config::run`]:
//!
//! ```text
//! containers/ID/   config.json (written here) · status.json, log/ (the monitor's) · upper work · hosts hostname resolv.conf
//! containers/.new-ID  being made: swept when its maker is gone
//! names/NAME       -> ../containers/ID
//! volumes/NAME/    files that outlive containers                                              volume/
//! pods/ID/         namespaces that containers share, without a process                     pod/ cni/
//! secrets/NAME     what no record has                                                         secret/
//! users/ID         the host's ids that a container has for its own users             owners/
//! networks/        NAME.json (made once) · the subnet of the default bridge                   network/
//! base/            the lowest layer of every container: empty mount points
//! RUN/containers/ID/  monitor.sock network.json: exists while something of a start may be left
//! build/mounts/    folders of RUN --mount=type=cache                                       build/
//! RUN/build/       secrets of a build that runs
//! RUN/events       what has happened, a line each
//! RUN/net/         address leases, names
//! RUN/layers/HEX   an image of a layer, mounted for all containers (see `images`)
//! RUN/apparmor     which profile of AppArmor was loaded, and what the kernel calls it       apparmor.rs
//! RUN/images/HEX   an image, mounted to be looked at                                     view.rs
//! ```
//!
//! There is no lock that two containers share. A verb that changes a container holds an flock on its folder.
#![forbid(unsafe_code)]

mod accounts;
mod again;
mod ahead;
mod apparmor;
mod attach;
pub mod build;
mod checkpoint;
mod children;
mod cni;
mod condition;
mod config;
mod create;
mod dependents;
mod described;
mod environment;
mod error;
mod events;
mod exec;
mod exec_sync;
mod files;
mod hold;
mod home;
mod joined;
mod journal;
mod layers;
mod leave;
mod lognotes;
mod logs;
mod measure;
mod mirror;
mod mounts;
mod names;
mod network;
mod overlay;
mod owners;
mod pause;
mod pod;
mod prepare;
mod processes;
mod quota;
mod record;
mod recover;
mod remount;
mod remove;
mod rename;
mod request;
mod restart;
mod rootfs;
mod runtime;
mod scope;
mod secret;
mod service;
mod session;
mod signals;
mod size;
mod spec;
mod start;
mod state;
mod stop;
mod update;
mod usage;
mod used;
mod users;
mod view;
mod volume;
mod wait;

pub use accounts::Accounts;
pub use again::Again;
pub use ahead::Ahead;
pub use apparmor::shown as apparmor_profile;
pub use checkpoint::CheckpointRequest;
pub use cni::Cni;
pub use condition::Condition;
pub use config::Config;
pub use container::cgroup::{BlkioEntry, Pressure, Stalled, Stats};
pub use error::Error;
pub use events::{EventOptions, Events};
pub use exec_sync::ExecOutput;
pub use files::{CommitRequest, CopyFrom, CopyOptions, CopyTo, Difference, DifferenceKind, PathStat};
pub use home::{Home, Ids};
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use launch::{Exit, Health, HealthState, IdRange, Kind, Nanos, Probe, Status};
pub use logs::{LogLine, LogOptions, Logs};
pub use mirror::Mirror;
pub use monitor::{Actor, Happened, OnFailure, Policy, Stream, now};
pub use names::{check as check_name, new_id};
pub use network::{Driver, EndpointState, NetworkRecord, NetworkRequest, NetworkState, Subnet};
pub use pod::{POD_INIT, Pod, PodDns, PodMember, PodNetwork, PodRecord, PodRequest, PodSharing, PodUsage};
pub use record::{ImageRecord, Record};
pub use request::*;
pub use rootfs::no_image;
pub use secret::Secret;
pub use session::{Happening, Session};
pub use signals::{name as signal_name, parse as parse_signal};
pub use size::{Taken, taken};
pub use spec::{check_capability, masked_paths, readonly_paths};
pub use start::{Attach, StartOptions};
pub use state::Container;
pub use stop::Grace;
pub use update::Change;
pub use usage::{Traffic, Usage};
pub use view::View;
pub use volume::{Volume, VolumeRecord, check_name as check_volume_name};

/// The containers and images below one [`Config`].
#[derive(Debug)]
pub struct Engine {
    config: Config,
    images: images::Store,
    children: children::Children,
    held: pod::Held,
}

impl Engine {
    /// Opens the state below `config.root`, making its folders at the first use.
    ///
    /// # Errors
    /// The folders cannot be made, mostly for want of privilege.
    pub fn open(config: Config) -> Result<Engine, Error> {
        use error::During;
        // The last of each folder, so that two looks tell whether all are there.
        if !(config.base().exists() && config.run.join("containers").exists()) {
            for folder in [config.containers(), config.names(), config.networks(), config.run.join("containers")] {
                create::folder(&folder).during(|| format!("make the folder {}", folder.display()))?;
            }
            // A hint, which few file systems take.
            let _ = sys::fs::open_dir(config.containers()).and_then(sys::fs::spread);
            overlay::make_base(&config.base()).during(|| format!("make the folder {}", config.base().display()))?;
        }
        let images = images::Store::open(&config.root.join("images"))?.with_driver(config.storage).sharing(config.layers());
        Ok(Engine { config, images, children: children::Children::default(), held: pod::Held::default() })
    }

    /// Where things are.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The images.
    pub fn images(&self) -> &images::Store {
        &self.images
    }
}
