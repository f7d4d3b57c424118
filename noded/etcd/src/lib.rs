//! What the control plane's store uses of etcd's gRPC API v3, as generated from `proto/`, and nothing else.
//!
//! Names and numbers are those of the interface since etcd 3.4; what is not used is left out. Keys and values are shared, not copied.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

tonic::include_proto!("etcdserverpb");
