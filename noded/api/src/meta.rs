//! What every object has: its metadata, and the small shared types of meta/v1.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::names;
use crate::schema::types;

/// A point in time, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub jiff::Timestamp);

/// A point in time, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroTime(pub jiff::Timestamp);

macro_rules! time {
    ($($name:ident, $format:literal;)*) => { $(
        impl Default for $name {
            fn default() -> Self {
                Self(jiff::Timestamp::UNIX_EPOCH)
            }
        }

        impl $name {
            /// Reads RFC 3339.
            ///
            /// # Errors
            /// What is wrong with it, as Go says it.
            pub fn parse(text: &str) -> Result<Self, String> {
                text.parse().map(Self).map_err(|_| format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse"))
            }

            /// Now, as the clock of this host says.
            pub fn now() -> Self {
                Self(jiff::Timestamp::now())
            }

            /// Whole seconds from this time to `later`.
            pub fn seconds_until(&self, later: jiff::Timestamp) -> i64 {
                later.as_second() - self.0.as_second()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0.strftime($format))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }
    )* };
}

time! {
    Time, "%Y-%m-%dT%H:%M:%SZ";
    MicroTime, "%Y-%m-%dT%H:%M:%S.%6fZ";
}

types! {
    /// Who an object is, and what the server keeps about it.
    ObjectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" {
        /// Free notes by key that programs keep on the object; they are not used for selection.
        annotations = "annotations": BTreeMap<String, String>;
        /// When the server made the object.
        creation_timestamp = "creationTimestamp": Option<Time>;
        /// How long the object may take to end, in seconds, once it is being deleted.
        deletion_grace_period_seconds = "deletionGracePeriodSeconds": Option<i64>;
        /// When the object is to be gone; set by the server at deletion.
        deletion_timestamp = "deletionTimestamp": Option<Time>;
        /// Names of those that must finish their clean-up before the object goes.
        finalizers = "finalizers": Vec<String> [set, merged("")];
        /// Beginning of a name that the server completes with random letters, where no name is given.
        generate_name = "generateName": String;
        /// Grows each time what is desired changes.
        generation = "generation": i64;
        /// Short words by key, by which objects are selected.
        labels = "labels": BTreeMap<String, String>;
        /// Which writer owns which field.
        managed_fields = "managedFields": Vec<ManagedFieldsEntry>;
        /// The object's name, unique among its kind in its namespace.
        name = "name": String;
        /// The namespace that the object lives in.
        namespace = "namespace": String;
        /// Objects that this one exists for; when all of them are gone, this one goes too.
        owner_references = "ownerReferences": Vec<OwnerReference> [by(&["uid"])];
        /// The store's revision at which the object was last written.
        resource_version = "resourceVersion": String;
        /// Former address of the object; not used.
        self_link = "selfLink": String;
        /// What tells this object from all others, also from later ones of the same name.
        uid = "uid": String;
    }

    /// An object that another one exists for.
    OwnerReference = "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference" {
        /// Group and version of the owner.
        api_version = "apiVersion": String [required];
        /// The owner is not gone before this object is, where the deletion waits for dependents.
        block_owner_deletion = "blockOwnerDeletion": Option<bool>;
        /// The owner is the one that manages this object.
        controller = "controller": Option<bool>;
        /// Kind of the owner.
        kind = "kind": String [required];
        /// Name of the owner.
        name = "name": String [required];
        /// The owner's uid.
        uid = "uid": String [required];
    }

    /// The fields that one writer owns.
    ManagedFieldsEntry = "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry" {
        /// Version of the kind that the fields are named in.
        api_version = "apiVersion": String;
        /// Format of the set of fields.
        fields_type = "fieldsType": String;
        /// The fields as a tree.
        fields_v1 = "fieldsV1": Value;
        /// Name of the writer.
        manager = "manager": String;
        /// How they were written: Apply or Update.
        operation = "operation": String;
        /// The part of the object that was written through.
        subresource = "subresource": String;
        /// When the fields were last changed.
        time = "time": Option<Time>;
    }

    /// Selects objects by their labels; all that is asked for must be true.
    LabelSelector = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector" {
        /// Rules that need more than equality.
        match_expressions = "matchExpressions": Vec<LabelSelectorRequirement>;
        /// Labels that must have exactly these values.
        match_labels = "matchLabels": BTreeMap<String, String>;
    }

    /// One rule of a selector.
    LabelSelectorRequirement = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement" {
        /// The label.
        key = "key": String [required, format(names::qualified_name)];
        /// How label and values are compared.
        operator = "operator": String [required, one_of(&["In", "NotIn", "Exists", "DoesNotExist"])];
        /// The values for In and NotIn.
        values = "values": Vec<String>;
    }

    /// A state of an object that is true, false or unknown, with its reason.
    Condition = "io.k8s.apimachinery.pkg.apis.meta.v1.Condition" {
        /// When it last became what it is.
        last_transition_time = "lastTransitionTime": Option<Time> [required];
        /// Words for a person.
        message = "message": String;
        /// The generation that it is about.
        observed_generation = "observedGeneration": Option<i64>;
        /// One word for a program.
        reason = "reason": String [required];
        /// True, False or Unknown.
        status = "status": String [required];
        /// Which state.
        kind = "type": String [required];
    }

    /// What a list is, beside its items.
    ListMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta" {
        /// Where the next part begins, where the list was cut.
        continue_token = "continue": String;
        /// How many items are left, where that is known.
        remaining_item_count = "remainingItemCount": Option<i64>;
        /// The store's revision that the list shows.
        resource_version = "resourceVersion": String;
    }
}
