//! Reviews: what a client asks about itself. They are answered and not kept.

use serde_json::Value;

use super::Kind;
use crate::meta::ObjectMeta;
use crate::schema::types;

types! {
    /// Whether the one who asks may do something.
    SelfSubjectAccessReview = "io.k8s.api.authorization.v1.SelfSubjectAccessReview" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Not used.
        metadata = "metadata": ObjectMeta;
        /// What is asked.
        spec = "spec": SelfSubjectAccessReviewSpec [required];
        /// The answer.
        status = "status": SubjectAccessReviewStatus;
    }

    /// What is asked: one of two.
    SelfSubjectAccessReviewSpec = "io.k8s.api.authorization.v1.SelfSubjectAccessReviewSpec" {
        /// A path that is no resource.
        non_resource_attributes = "nonResourceAttributes": Option<NonResourceAttributes>;
        /// A resource.
        resource_attributes = "resourceAttributes": Option<ResourceAttributes>;
    }

    /// A path and what is done with it.
    NonResourceAttributes = "io.k8s.api.authorization.v1.NonResourceAttributes" {
        /// The path.
        path = "path": String;
        /// The verb.
        verb = "verb": String;
    }

    /// A resource and what is done with it.
    ResourceAttributes = "io.k8s.api.authorization.v1.ResourceAttributes" {
        /// Only objects with these fields.
        field_selector = "fieldSelector": Option<Value>;
        /// The API group.
        group = "group": String;
        /// Only objects with these labels.
        label_selector = "labelSelector": Option<Value>;
        /// An object's name.
        name = "name": String;
        /// A namespace; nothing for all.
        namespace = "namespace": String;
        /// The resource.
        resource = "resource": String;
        /// A part of the object.
        subresource = "subresource": String;
        /// The verb.
        verb = "verb": String;
        /// The version.
        version = "version": String;
    }

    /// Whether something may be done.
    SubjectAccessReviewStatus = "io.k8s.api.authorization.v1.SubjectAccessReviewStatus" {
        /// It may be done.
        allowed = "allowed": Option<bool>;
        /// It is forbidden, whatever others say.
        denied = "denied": Option<bool>;
        /// What went wrong with the answer.
        evaluation_error = "evaluationError": String;
        /// Why.
        reason = "reason": String;
    }

    /// All that the one who asks may do.
    SelfSubjectRulesReview = "io.k8s.api.authorization.v1.SelfSubjectRulesReview" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Not used.
        metadata = "metadata": ObjectMeta;
        /// What is asked.
        spec = "spec": SelfSubjectRulesReviewSpec [required];
        /// The answer.
        status = "status": Option<Value>;
    }

    /// A namespace to ask about.
    SelfSubjectRulesReviewSpec = "io.k8s.api.authorization.v1.SelfSubjectRulesReviewSpec" {
        /// The namespace.
        namespace = "namespace": String;
    }

    /// Who the one is that asks.
    SelfSubjectReview = "io.k8s.api.authentication.v1.SelfSubjectReview" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Not used.
        metadata = "metadata": ObjectMeta;
        /// The answer.
        status = "status": Option<Value>;
    }
}

const fn review(kind: Kind, group: &'static str) -> Kind {
    Kind { group, namespaced: false, verbs: &["create"], name_check: |_| Vec::new(), ..kind }
}

/// May I?
pub static SELF_SUBJECT_ACCESS_REVIEW: Kind = review(
    Kind::new("SelfSubjectAccessReview", "selfsubjectaccessreviews", "selfsubjectaccessreview", SelfSubjectAccessReview::TABLE),
    "authorization.k8s.io",
);

/// What may I?
pub static SELF_SUBJECT_RULES_REVIEW: Kind = review(
    Kind::new("SelfSubjectRulesReview", "selfsubjectrulesreviews", "selfsubjectrulesreview", SelfSubjectRulesReview::TABLE),
    "authorization.k8s.io",
);

/// Who am I?
pub static SELF_SUBJECT_REVIEW: Kind = review(
    Kind::new("SelfSubjectReview", "selfsubjectreviews", "selfsubjectreview", SelfSubjectReview::TABLE),
    "authentication.k8s.io",
);
