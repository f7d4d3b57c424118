//! How a pod's memory is protected.

use super::PodSpec;
use super::container::{Container, ResourceRequirements};
use crate::quantity::Quantity;

impl PodSpec {
    /// `Guaranteed`, `Burstable` or `BestEffort`, by what the containers request and may use. A limit alone is a request, too.
    pub fn qos_class(&self) -> &'static str {
        let all = || self.containers.iter().chain(&self.init_containers);
        let each = |holds: fn(&ResourceRequirements, &str) -> bool| {
            move |container: &Container| {
                let resources = container.resources.clone().unwrap_or_default();
                ["cpu", "memory"].map(|name| holds(&resources, name))
            }
        };
        let any = each(|of, name| [&of.requests, &of.limits].iter().any(|list| list.get(name).is_some_and(is_some)));
        let sure = each(|of, name| match (of.limits.get(name), of.requests.get(name)) {
            (Some(limit), Some(request)) => is_some(limit) && limit.same(request),
            (limit, _) => limit.is_some_and(is_some),
        });
        match (all().flat_map(any).any(|is| is), all().flat_map(sure).all(|is| is)) {
            (false, _) => "BestEffort",
            (true, true) => "Guaranteed",
            (true, false) => "Burstable",
        }
    }
}

fn is_some(amount: &Quantity) -> bool {
    amount.exceeds(&Quantity::default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classes_follow_from_requests_and_limits() {
        let both = json!({"cpu": "1", "memory": "1Gi"});
        for (resources, class) in [
            (json!({}), "BestEffort"),
            (json!({"requests": {"cpu": "0"}}), "BestEffort"),
            (json!({"requests": {"example.com/card": "1"}}), "BestEffort"),
            (json!({"limits": both}), "Guaranteed"),
            (json!({"limits": both, "requests": {"cpu": "1000m", "memory": "1024Mi"}}), "Guaranteed"),
            (json!({"limits": both, "requests": {"cpu": "500m"}}), "Burstable"),
            (json!({"requests": both}), "Burstable"),
            (json!({"limits": {"cpu": "1"}}), "Burstable"),
        ] {
            let spec: PodSpec = serde_json::from_value(json!({"containers": [{"name": "a", "resources": resources}]})).unwrap();
            assert_eq!(spec.qos_class(), class, "{resources}");
        }
    }
}
