//! The Kubernetes Container Runtime Interface, version 1, as generated from `proto/`, and nothing else.
//!
//! The names and numbers are those of the interface as of Kubernetes 1.37; what is only for Windows is left out. A kubelet that sends more
//! than is known here is understood as far as it is known.
//!
//! What pods and containers are made of can be shown as JSON, in the names that Go's types of the interface have there, and as they do
//! without what was not said.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

mod shown;

tonic::include_proto!("runtime.v1");
