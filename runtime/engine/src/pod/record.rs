//! A pod as it was made, and what it is now.

use launch::Nanos;
use serde::{Deserialize, Serialize};

use super::cgroup;
use super::request::{PodNetwork, PodRequest};
use crate::config::Config;
use crate::network::NetworkState;

/// `config.json` of one pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodRecord {
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub created: Nanos,
    /// What was asked for.
    #[serde(flatten)]
    pub request: PodRequest,
}

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// How it was made.
    pub record: PodRecord,
    /// Its namespaces are there, and containers can be made in it.
    pub ready: bool,
    /// Its addresses, while it is ready and has some of its own.
    pub network: Option<NetworkState>,
}

impl PodRecord {
    /// It has a network of its own.
    pub fn has_network(&self) -> bool {
        self.request.network != PodNetwork::Host
    }

    /// The cgroup of its containers' cgroups, below the root of each hierarchy.
    ///
    /// # Errors
    /// What was asked for is neither a path nor a slice.
    pub(crate) fn cgroup(&self, config: &Config) -> Result<String, crate::Error> {
        match &self.request.cgroup_parent {
            Some(parent) => cgroup::path(parent),
            None => Ok(cgroup::own(config, &self.id)),
        }
    }
}
