//! Label selectors, right and wrong, in a VirtualService.

use super::{Row, accept, reject};

const LABELS: &str = "spec.realServers.selector.matchLabels";
const FIRST: &str = "spec.realServers.selector.matchExpressions[0]";
const EXPRESSIONS: &str = "spec.realServers.selector.matchExpressions";
const NO_KEY: &str = "not a label's key";
const NO_VALUE: &str = "not a label's value";

pub(super) const ROWS: &[Row] = &[
    accept("the empty selector", &[("spec.realServers.selector", "{}")]),
    accept(
        "labels with prefix and empty value",
        &[(LABELS, r#"{"example.com/app": "web", "tier": ""}"#)],
    ),
    accept(
        "expressions of every operator",
        &[(
            EXPRESSIONS,
            r#"[{"key": "a", "operator": "In", "values": ["x", "y"]}, {"key": "b", "operator": "NotIn", "values": [""]},
            {"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist", "values": []}]"#,
        )],
    ),
    reject("a label's key with a space", &[(LABELS, r#"{"my app": "web"}"#)], LABELS, NO_KEY),
    reject("an empty label's key", &[(LABELS, r#"{"": "web"}"#)], LABELS, NO_KEY),
    reject("a label's key with two slashes", &[(LABELS, r#"{"a/b/c": "web"}"#)], LABELS, NO_KEY),
    reject("a label's key with an empty prefix", &[(LABELS, r#"{"/app": "web"}"#)], LABELS, NO_KEY),
    reject(
        "a label's key with a prefix in capitals",
        &[(LABELS, r#"{"Example.com/app": "web"}"#)],
        LABELS,
        NO_KEY,
    ),
    reject("a label's value with a slash", &[(LABELS, r#"{"app": "a/b"}"#)], LABELS, NO_VALUE),
    reject("a label's value with a dash first", &[(LABELS, r#"{"app": "-a"}"#)], LABELS, NO_VALUE),
    reject(
        "a label's value that is a number",
        &[(LABELS, r#"{"app": 1}"#)],
        "spec.realServers.selector.matchLabels.app",
        "must be of type string",
    ),
    reject(
        "an operator that nobody knows",
        &[(EXPRESSIONS, r#"[{"key": "a", "operator": "Equals", "values": ["x"]}]"#)],
        "spec.realServers.selector.matchExpressions[0].operator",
        r#"supported values: "In", "NotIn", "Exists", "DoesNotExist""#,
    ),
    reject(
        "In without values",
        &[(EXPRESSIONS, r#"[{"key": "a", "operator": "In"}]"#)],
        FIRST,
        "In or NotIn needs at least one",
    ),
    reject(
        "NotIn with no values",
        &[(EXPRESSIONS, r#"[{"key": "a", "operator": "NotIn", "values": []}]"#)],
        FIRST,
        "In or NotIn needs at least one",
    ),
    reject(
        "Exists with values",
        &[(EXPRESSIONS, r#"[{"key": "a", "operator": "Exists", "values": ["x"]}]"#)],
        FIRST,
        "Exists or DoesNotExist takes none",
    ),
    reject(
        "an expression's key with a space",
        &[(EXPRESSIONS, r#"[{"key": "my app", "operator": "Exists"}]"#)],
        "spec.realServers.selector.matchExpressions[0].key",
        NO_KEY,
    ),
    reject(
        "an expression's value with a space",
        &[(EXPRESSIONS, r#"[{"key": "app", "operator": "In", "values": ["web", "the web"]}]"#)],
        "spec.realServers.selector.matchExpressions[0].values[1]",
        NO_VALUE,
    ),
    reject(
        "labels in a list",
        &[("spec.realServers.selector", r#"["web"]"#)],
        "spec.realServers.selector",
        "must be of type object",
    ),
    reject(
        "labels without matchLabels",
        &[("spec.realServers.selector", r#"{"app": "web"}"#)],
        "spec.realServers.selector.app",
        "unknown field",
    ),
];
