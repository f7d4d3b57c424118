//! Leases: who holds a role, and since when it was renewed.

use serde_json::Value;

use super::Kind;
use crate::meta::{MicroTime, ObjectMeta};
use crate::schema::types;
use crate::table::column;

types! {
    /// Who holds a role for a time.
    Lease = "io.k8s.api.coordination.v1.Lease" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Holder and times.
        spec = "spec": LeaseSpec;
    }

    /// Holder and times.
    LeaseSpec = "io.k8s.api.coordination.v1.LeaseSpec" {
        /// When the holder took it.
        acquire_time = "acquireTime": Option<MicroTime>;
        /// Who holds it.
        holder_identity = "holderIdentity": String;
        /// How long it is good after its renewal, in seconds.
        lease_duration_seconds = "leaseDurationSeconds": Option<i32> [within(1, i64::MAX)];
        /// How often it changed hands.
        lease_transitions = "leaseTransitions": Option<i32> [within(0, i64::MAX)];
        /// Who shall hold it next.
        preferred_holder = "preferredHolder": String;
        /// When it was last renewed.
        renew_time = "renewTime": Option<MicroTime>;
        /// How the next holder is chosen.
        strategy = "strategy": String;
    }
}

/// Leases.
pub static LEASE: Kind = Kind {
    group: "coordination.k8s.io",
    columns: &[column("Holder", "Who holds it.")],
    row: |object, _| vec![object["spec"].get("holderIdentity").cloned().unwrap_or_else(|| Value::from(""))],
    ..Kind::new("Lease", "leases", "lease", Lease::TABLE)
};
