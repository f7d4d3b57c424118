//! What the integration tests, the demo and the benches stand on: images to run, registries to pull them from,
//! an environment to run `rctr` in, and a look at what it left behind.
//!
//! ```text
//! Debian packages --mmdebstrap--> debian --+
//!                  entries in memory ------+--> catalog --push--> registry (Debian's docker-registry, loopback)
//!                                                       --serve-> fake     (a registry that misbehaves on request)
//!                     runner --> tests/* --> env --> rctr --pull--^
//!                                             +--> leaks: what is still there afterwards
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`layer`] | layers: deterministic tar from entries, compressed |
//! | [`oci`] | images and indexes as blobs and manifests |
//! | [`debian`] | the layers of Debian packages, built once and cached |
//! | [`catalog`] | every image that tests, demo and benches use |
//! | [`registry`] | Debian's docker-registry as a child process |
//! | [`fake`] | a registry in this process, with faults |
//! | [`http`] | the little HTTP that all of them need |
//! | [`containerd`] | what a containerd of a test's own reads |
//! | [`env`] | one test's own `rctr`: root, state, bridge |
//! | [`lab`] | a cluster of nodes in namespaces, over links that can be cut |
//! | [`output`] | what a command answered, with assertions |
//! | [`terminal`] | a pty in front of a command |
//! | [`leaks`] | what is left on the host |
//! | [`runner`] | runs the tests and counts |

#![forbid(unsafe_code)]

pub mod catalog;
pub mod containerd;
pub mod debian;
pub mod env;
pub mod fake;
pub mod http;
pub mod lab;
pub mod layer;
pub mod leaks;
pub mod oci;
pub mod output;
pub mod registry;
pub mod runner;
pub mod terminal;
