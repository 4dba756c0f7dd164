//! Label selectors, evaluated as the API server does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;
use thiserror::Error;

/// A label selector that cannot be evaluated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidSelector {
    /// An operator that does not exist.
    #[error(
        "matchExpressions[{index}].operator {operator:?} is unknown: use In, NotIn, Exists or DoesNotExist"
    )]
    UnknownOperator {
        /// Which expression.
        index: usize,
        /// The operator as written.
        operator: String,
    },
    /// In or NotIn without values.
    #[error("matchExpressions[{index}].values is empty: {operator} needs at least one value")]
    NoValues {
        /// Which expression.
        index: usize,
        /// The operator as written.
        operator: String,
    },
    /// Exists or DoesNotExist with values.
    #[error("matchExpressions[{index}].values is set: {operator} takes no values")]
    ValuesGiven {
        /// Which expression.
        index: usize,
        /// The operator as written.
        operator: String,
    },
}

/// Whether a selector can be evaluated.
///
/// # Errors
/// The first expression that cannot.
pub fn check(selector: &LabelSelector) -> Result<(), InvalidSelector> {
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    for (index, expression) in expressions.iter().enumerate() {
        let values = !expression.values.as_deref().unwrap_or_default().is_empty();
        let operator = expression.operator.clone();
        match expression.operator.as_str() {
            "In" | "NotIn" if !values => {
                return Err(InvalidSelector::NoValues { index, operator });
            }
            "Exists" | "DoesNotExist" if values => {
                return Err(InvalidSelector::ValuesGiven { index, operator });
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => return Err(InvalidSelector::UnknownOperator { index, operator }),
        }
    }
    Ok(())
}

/// Whether a selector matches labels. An empty selector matches everything, one that [`check`] refuses nothing.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    if check(selector).is_err() {
        return false;
    }
    let equal = selector.match_labels.iter().flatten().all(|(k, v)| labels.get(k) == Some(v));
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    equal
        && expressions.iter().all(|expression| {
            let label = labels.get(&expression.key);
            let listed = || {
                let values = expression.values.as_deref().unwrap_or_default();
                label.is_some_and(|label| values.contains(label))
            };
            match expression.operator.as_str() {
                "In" => listed(),
                // An absent label is "not in" any list, as in the API server.
                "NotIn" => !listed(),
                "Exists" => label.is_some(),
                _ => label.is_none(),
            }
        })
}
