//! The rules of a label selector, as Kubernetes has them for its own kinds
//! (k8s.io/apimachinery/pkg/apis/meta/v1/validation): a CRD's selector is checked by nobody else.

use super::{Rule, Violation, blame_if, blame_items, names};
use crate::node::node_mut;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSON, JSONSchemaProps};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Lengths that bound the rules' cost; Kubernetes' own limits on names are within them.
const MAX_REQUIREMENTS: i64 = 32;
const MAX_VALUES: i64 = 64;
const MAX_VALUE_LENGTH: i64 = 63;
const MAX_KEY_LENGTH: i64 = 317;

const RULES: &[Rule<LabelSelector>] = &[
    Rule {
        at: "matchLabels",
        blames: "",
        cel: "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        message: "not a label's key; write one such as app or example.com/app",
        broken: |s| {
            let mut labels = s.match_labels.iter().flatten();
            blame_if(labels.any(|(key, _)| !names::is_label_key(key)), "matchLabels")
        },
    },
    Rule {
        at: "matchLabels",
        blames: "",
        cel: "self.all(key, !format.labelValue().validate(self[key]).hasValue())",
        message: "not a label's value; use letters, digits, '-', '_' and '.', at most 63, with a letter \
                  or digit at both ends",
        broken: |s| {
            let mut labels = s.match_labels.iter().flatten();
            blame_if(labels.any(|(_, value)| !names::is_label_value(value)), "matchLabels")
        },
    },
    Rule {
        at: "matchExpressions[].key",
        blames: "",
        cel: "!format.qualifiedName().validate(self).hasValue()",
        message: "not a label's key; write one such as app or example.com/app",
        broken: |s| {
            let list = s.match_expressions.as_deref().unwrap_or_default();
            blame_items("matchExpressions", list, ".key", |e| !names::is_label_key(&e.key))
        },
    },
    Rule {
        at: "matchExpressions[].values[]",
        blames: "",
        cel: "!format.labelValue().validate(self).hasValue()",
        message: "not a label's value; use letters, digits, '-', '_' and '.', at most 63, with a letter or \
                  digit at both ends",
        broken: |s| {
            let list = s.match_expressions.iter().flatten().enumerate();
            list.flat_map(|(index, e)| {
                let values = e.values.as_deref().unwrap_or_default();
                let list = format!("matchExpressions[{index}].values");
                blame_items(&list, values, "", |v| !names::is_label_value(v))
            })
            .collect()
        },
    },
    Rule {
        at: "matchExpressions[]",
        blames: "",
        cel: "!(self.operator in ['In', 'NotIn']) || (has(self.values) && self.values.size() > 0)",
        message: "values: operator In or NotIn needs at least one",
        broken: |s| {
            let list = s.match_expressions.as_deref().unwrap_or_default();
            blame_items("matchExpressions", list, "", |e| {
                ["In", "NotIn"].contains(&e.operator.as_str())
                    && e.values.as_ref().is_none_or(Vec::is_empty)
            })
        },
    },
    Rule {
        at: "matchExpressions[]",
        blames: "",
        cel: "!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || self.values.size() == 0",
        message: "values: operator Exists or DoesNotExist takes none; leave values out",
        broken: |s| {
            let list = s.match_expressions.as_deref().unwrap_or_default();
            blame_items("matchExpressions", list, "", |e| {
                ["Exists", "DoesNotExist"].contains(&e.operator.as_str())
                    && e.values.as_ref().is_some_and(|v| !v.is_empty())
            })
        },
    },
];

pub(super) fn check(selector: &LabelSelector, prefix: &str, found: &mut Vec<Violation>) {
    super::check(RULES, prefix, selector, found);
}

pub(super) fn attach(path: &str, root: &mut JSONSchemaProps) {
    if let Some(selector) = node_mut(root, path) {
        // As for Kubernetes' own selectors: half of one manager's and half of another's would select anything.
        selector.x_kubernetes_map_type = Some("atomic".to_owned());
        limit(selector);
    }
    super::attach_all(RULES, path, root);
}

fn limit(selector: &mut JSONSchemaProps) {
    if let Some(labels) = node_mut(selector, "matchLabels") {
        labels.max_properties = Some(MAX_REQUIREMENTS);
    }
    if let Some(value) = node_mut(selector, "matchLabels{}") {
        value.max_length = Some(MAX_VALUE_LENGTH);
    }
    if let Some(list) = node_mut(selector, "matchExpressions") {
        list.max_items = Some(MAX_REQUIREMENTS);
    }
    if let Some(key) = node_mut(selector, "matchExpressions[].key") {
        key.max_length = Some(MAX_KEY_LENGTH);
    }
    if let Some(operator) = node_mut(selector, "matchExpressions[].operator") {
        operator.enum_ = Some(OPERATORS.map(|o| JSON(o.into())).into());
    }
    if let Some(values) = node_mut(selector, "matchExpressions[].values") {
        values.max_items = Some(MAX_VALUES);
    }
    if let Some(value) = node_mut(selector, "matchExpressions[].values[]") {
        value.max_length = Some(MAX_VALUE_LENGTH);
    }
}
