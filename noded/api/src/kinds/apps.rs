//! What controllers of pods share: printed columns, rules for selectors and templates, changes in steps.

use serde_json::{Value, json};

use super::pod::{PodTemplateSpec, validate_template};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::LabelSelector;
use crate::schema::types;
use crate::selector;
use crate::table::{Column, listed, wide};
use crate::values::IntOrString;

types! {
    /// How many pods may be away or too many while they are replaced.
    RollingUpdate = "io.k8s.api.apps.v1.RollingUpdateDeployment" {
        /// So many more than desired, as a number or percentage.
        max_surge = "maxSurge": Option<IntOrString>;
        /// So many fewer than desired, as a number or percentage.
        max_unavailable = "maxUnavailable": Option<IntOrString>;
    }
}

/// The last columns of every controller of pods.
pub(super) const WIDE: [Column; 3] = [
    wide("Containers", "Names of the template's containers."),
    wide("Images", "Images of the template's containers."),
    wide("Selector", "Labels of its pods."),
];

/// The cells of those columns.
pub(super) fn wide_cells(template: &PodTemplateSpec, selector: Option<&LabelSelector>) -> [Value; 3] {
    let containers = &template.spec.containers;
    [
        listed(containers.iter().map(|c| &c.name)).into(),
        listed(containers.iter().map(|c| &c.image)).into(),
        selector.map_or_else(|| "<none>".into(), selector::shown).into(),
    ]
}

/// Selector and template must be there and fit.
pub(super) fn check_pods(object: &Value, policies: &[&str], errors: &mut FieldErrors) {
    let selector: LabelSelector = super::printed(&object["spec"]["selector"]);
    let template: PodTemplateSpec = super::printed(&object["spec"]["template"]);
    check_selector(object, &selector, errors);
    if object["spec"].get("template").is_some() {
        validate_template(&object["spec"]["template"], "spec.template", policies, errors);
    }
    let is_said = !(selector.match_labels.is_empty() && selector.match_expressions.is_empty());
    if is_said && !selector::matches(&selector, &template.metadata.labels) {
        let why = "`selector` does not match template `labels`".to_string();
        errors.push(FieldError::invalid("spec.template.metadata.labels", &json!(template.metadata.labels), why));
    }
}

fn check_selector(object: &Value, selector: &LabelSelector, errors: &mut FieldErrors) {
    if object["spec"].get("selector").is_some() && selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        errors.push(FieldError::invalid(
            "spec.selector",
            &object["spec"]["selector"],
            "empty selector is invalid for deployment".into(),
        ));
    }
    crate::prepare::labels(&object["spec"]["selector"]["matchLabels"], "spec.selector.matchLabels", errors);
    for (at, rule) in selector.match_expressions.iter().enumerate() {
        let field = format!("spec.selector.matchExpressions[{at}].values");
        match rule.operator.as_str() {
            "In" | "NotIn" if rule.values.is_empty() => {
                errors.push(FieldError::required(field, "must be specified when `operator` is 'In' or 'NotIn'"))
            }
            "Exists" | "DoesNotExist" if !rule.values.is_empty() => {
                errors.push(FieldError::forbidden(field, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
            _ => {}
        }
    }
}

/// A number or percentage, not negative.
pub(super) fn check_amount(value: &Value, field: &str, errors: &mut FieldErrors) {
    let fits = match value {
        Value::Null => true,
        Value::Number(n) => n.as_i64().is_some_and(|n| n >= 0),
        Value::String(text) => text.strip_suffix('%').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())),
        _ => false,
    };
    if !fits {
        let why = match value {
            Value::Number(_) => "must be greater than or equal to 0",
            _ => {
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            }
        };
        errors.push(FieldError::invalid(field, value, why.into()));
    }
}
