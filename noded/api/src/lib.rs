//! The Kubernetes resource subset: what its kinds are and what follows from that.
//!
//! ```text
//! kinds/*      one file a kind: types! {fields, docs, options} + Kind {names, columns, defaults, rules}
//!   │
//!   ├─▶ schema      decode (wrong types, unknown fields) · defaults · validate
//!   ├─▶ patch       merge, strategic merge, server-side apply with managed fields
//!   ├─▶ openapi     documents for kubectl explain and its validation
//!   ├─▶ discovery   what is served, plain and aggregated
//!   └─▶ table       what `kubectl get` prints
//! ```
//!
//! An object is JSON (`serde_json::Value`) in the store and in patches, so that nothing given is lost. The typed views, such as
//! [`kinds::pod::Pod`], are for who reads and makes objects: scheduler, controllers, agent. Both come from one description.
//!
//! Everything here is a pure function: no clock, no network, no files.
#![forbid(unsafe_code)]

pub mod discovery;
pub mod errors;
pub mod json;
pub mod kinds;
pub mod meta;
pub mod names;
pub mod openapi;
pub mod patch;
pub mod prepare;
pub mod proto;
pub mod quantity;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod values;
