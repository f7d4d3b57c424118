//! Where a pod may run.

use super::volume::PodAffinityTerm;
use crate::meta::{LabelSelector, Time};
use crate::names;
use crate::schema::types;

types! {
    /// Where a pod may and should run.
    Affinity = "io.k8s.api.core.v1.Affinity" {
        /// By the labels of nodes.
        node_affinity = "nodeAffinity": Option<NodeAffinity>;
        /// Near other pods.
        pod_affinity = "podAffinity": Option<PodAffinity>;
        /// Away from other pods.
        pod_anti_affinity = "podAntiAffinity": Option<PodAffinity>;
    }

    /// Nodes by their labels.
    NodeAffinity = "io.k8s.api.core.v1.NodeAffinity" {
        /// Wishes with weights.
        preferred = "preferredDuringSchedulingIgnoredDuringExecution": Vec<PreferredSchedulingTerm>;
        /// What must be.
        required = "requiredDuringSchedulingIgnoredDuringExecution": Option<NodeSelector>;
    }

    /// Nodes of which one term is true.
    NodeSelector = "io.k8s.api.core.v1.NodeSelector" {
        /// The terms.
        terms = "nodeSelectorTerms": Vec<NodeSelectorTerm> [required];
    }

    /// Rules that must all be true of a node.
    NodeSelectorTerm = "io.k8s.api.core.v1.NodeSelectorTerm" {
        /// Rules on labels.
        match_expressions = "matchExpressions": Vec<NodeSelectorRequirement>;
        /// Rules on fields: metadata.name.
        match_fields = "matchFields": Vec<NodeSelectorRequirement>;
    }

    /// One rule on a node.
    NodeSelectorRequirement = "io.k8s.api.core.v1.NodeSelectorRequirement" {
        /// The label or field.
        key = "key": String [required];
        /// How it is compared.
        operator = "operator": String [required, one_of(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])];
        /// With what.
        values = "values": Vec<String>;
    }

    /// A wish with a weight.
    PreferredSchedulingTerm = "io.k8s.api.core.v1.PreferredSchedulingTerm" {
        /// The rules.
        preference = "preference": NodeSelectorTerm [required];
        /// The weight.
        weight = "weight": i32 [required, within(1, 100)];
    }

    /// Near other pods, or away from them.
    PodAffinity = "io.k8s.api.core.v1.PodAffinity" {
        /// Wishes with weights.
        preferred = "preferredDuringSchedulingIgnoredDuringExecution": Vec<WeightedPodAffinityTerm>;
        /// What must be.
        required = "requiredDuringSchedulingIgnoredDuringExecution": Vec<PodAffinityTerm>;
    }

    /// A wish with a weight.
    WeightedPodAffinityTerm = "io.k8s.api.core.v1.WeightedPodAffinityTerm" {
        /// The pods.
        term = "podAffinityTerm": PodAffinityTerm [required];
        /// The weight.
        weight = "weight": i32 [required, within(1, 100)];
    }

    /// A taint that the pod bears.
    Toleration = "io.k8s.api.core.v1.Toleration" {
        /// The effect; all by default.
        effect = "effect": String [one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])];
        /// The taint's key; all by default.
        key = "key": String [format(names::qualified_name)];
        /// How the value is compared.
        operator = "operator": String [one_of(&["Equal", "Exists"])];
        /// How long the pod stays on a node with such a taint.
        toleration_seconds = "tolerationSeconds": Option<i64>;
        /// The taint's value.
        value = "value": String;
    }

    /// A reason of a node to keep pods away.
    Taint = "io.k8s.api.core.v1.Taint" {
        /// What it does.
        effect = "effect": String [required, one_of(&["NoSchedule", "PreferNoSchedule", "NoExecute"])];
        /// Its key.
        key = "key": String [required, format(names::qualified_name)];
        /// When it was set.
        time_added = "timeAdded": Option<Time>;
        /// Its value.
        value = "value": String [format(names::label_value)];
    }

    /// How evenly pods are spread.
    TopologySpreadConstraint = "io.k8s.api.core.v1.TopologySpreadConstraint" {
        /// The pods that are counted.
        label_selector = "labelSelector": Option<LabelSelector>;
        /// Labels whose values must be those of the pod itself.
        match_label_keys = "matchLabelKeys": Vec<String>;
        /// The greatest difference allowed.
        max_skew = "maxSkew": i32 [required, within(1, i64::MAX)];
        /// The least number of places.
        min_domains = "minDomains": Option<i32> [within(1, i64::MAX)];
        /// Whether node selectors count.
        node_affinity_policy = "nodeAffinityPolicy": String [one_of(&["Honor", "Ignore"])];
        /// Whether taints count.
        node_taints_policy = "nodeTaintsPolicy": String [one_of(&["Honor", "Ignore"])];
        /// The node label whose value says which nodes are one place.
        topology_key = "topologyKey": String [required];
        /// What happens when it cannot be kept.
        when_unsatisfiable = "whenUnsatisfiable": String [required, one_of(&["DoNotSchedule", "ScheduleAnyway"])];
    }
}
