//! What clients send to parts of objects: it is acted on, and not kept.

use super::config::ObjectReference;
use crate::meta::{ObjectMeta, Time};
use crate::schema::types;

types! {
    /// How an object is deleted.
    DeleteOptions = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// Only try: All.
        dry_run = "dryRun": Vec<String>;
        /// How long it may take to end, in seconds.
        grace_period_seconds = "gracePeriodSeconds": Option<i64>;
        /// The kind.
        kind = "kind": String;
        /// Dependents stay; former form of propagationPolicy.
        orphan_dependents = "orphanDependents": Option<bool>;
        /// What must be true of the object.
        preconditions = "preconditions": Option<Preconditions>;
        /// What becomes of dependents.
        propagation_policy = "propagationPolicy": String;
    }

    /// What must be true of an object that is to be deleted.
    Preconditions = "io.k8s.apimachinery.pkg.apis.meta.v1.Preconditions" {
        /// Its revision.
        resource_version = "resourceVersion": String;
        /// Its uid.
        uid = "uid": String;
    }

    /// Asks a pod to leave its node.
    Eviction = "io.k8s.api.policy.v1.Eviction" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// How the pod is deleted.
        delete_options = "deleteOptions": Option<DeleteOptions>;
        /// The kind.
        kind = "kind": String;
        /// The pod's name.
        metadata = "metadata": ObjectMeta;
    }

    /// Puts a pod on a node.
    Binding = "io.k8s.api.core.v1.Binding" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// The pod's name.
        metadata = "metadata": ObjectMeta;
        /// The node.
        target = "target": ObjectReference [required];
    }

    /// Asks for a token of a service account.
    TokenRequest = "io.k8s.api.authentication.v1.TokenRequest" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// The account's name.
        metadata = "metadata": ObjectMeta;
        /// What is asked for.
        spec = "spec": TokenRequestSpec [required];
        /// The answer.
        status = "status": Option<TokenRequestStatus>;
    }

    /// What kind of token is asked for.
    TokenRequestSpec = "io.k8s.api.authentication.v1.TokenRequestSpec" {
        /// Who it is for.
        audiences = "audiences": Vec<String>;
        /// The object that it goes with.
        bound_object_ref = "boundObjectRef": Option<BoundObjectReference>;
        /// How long it lives.
        expiration_seconds = "expirationSeconds": Option<i64>;
    }

    /// The object that a token goes with.
    BoundObjectReference = "io.k8s.api.authentication.v1.BoundObjectReference" {
        /// Group and version.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// The name.
        name = "name": String;
        /// The uid.
        uid = "uid": String;
    }

    /// A token.
    TokenRequestStatus = "io.k8s.api.authentication.v1.TokenRequestStatus" {
        /// Until when it is good.
        expiration_timestamp = "expirationTimestamp": Option<Time>;
        /// The token.
        token = "token": String;
    }

    /// How many replicas there are and should be.
    Scale = "io.k8s.api.autoscaling.v1.Scale" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name and revision of the object.
        metadata = "metadata": ObjectMeta;
        /// How many there should be.
        spec = "spec": ScaleSpec;
        /// How many there are.
        status = "status": ScaleStatus;
    }

    /// How many replicas there should be.
    ScaleSpec = "io.k8s.api.autoscaling.v1.ScaleSpec" {
        /// The number.
        replicas = "replicas": i32;
    }

    /// How many replicas there are.
    ScaleStatus = "io.k8s.api.autoscaling.v1.ScaleStatus" {
        /// The number.
        replicas = "replicas": i32;
        /// Labels of the pods, as text.
        selector = "selector": String;
    }
}

/// The table of something that is sent but not kept.
pub fn table(api_version: &str, kind: &str) -> Option<&'static crate::schema::Object> {
    Some(match (api_version, kind) {
        // every group has its own name for the same options
        (_, "DeleteOptions") => DeleteOptions::TABLE,
        ("policy/v1", "Eviction") => Eviction::TABLE,
        ("v1", "Binding") => Binding::TABLE,
        ("authentication.k8s.io/v1", "TokenRequest") => TokenRequest::TABLE,
        ("autoscaling/v1", "Scale") => Scale::TABLE,
        _ => return None,
    })
}
