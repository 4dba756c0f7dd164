//! The structural half of validation: a value against the schema that the API server gets, in the API server's words.
//!
//! One generated schema judges in both places, so that a manifest in a file and one that is applied get the same
//! verdict without a second description of the types.

use crate::Violation;
use crate::node::node_mut;
use crate::schema::all_crds;
use crate::tidy::tidy;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

/// Root schema by kind, metadata included.
static SCHEMAS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
    let crds = all_crds().into_iter();
    crds.filter_map(|crd| {
        let mut root = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
        add_metadata(&mut root);
        Some((crd.spec.names.kind, root))
    })
    .collect()
});

/// A CRD leaves metadata to the API server, and may only limit the name.
fn add_metadata(root: &mut JSONSchemaProps) {
    let name_length = node_mut(root, "metadata.name").and_then(|name| name.max_length);
    let settings = SchemaSettings::openapi3().with(|s| s.inline_subschemas = true);
    let derived = settings.into_generator().into_root_schema_for::<ObjectMeta>();
    let Ok(mut metadata) = serde_json::from_value::<JSONSchemaProps>(derived.into()) else {
        return;
    };
    tidy(&mut metadata);
    if let Some(managed) = node_mut(&mut metadata, "managedFields") {
        *managed = JSONSchemaProps {
            x_kubernetes_preserve_unknown_fields: Some(true),
            ..JSONSchemaProps::default()
        };
    }
    if let Some(name) = node_mut(&mut metadata, "name") {
        name.max_length = name_length;
    }
    let text =
        || JSONSchemaProps { type_: Some("string".to_owned()), ..JSONSchemaProps::default() };
    let properties = root.properties.get_or_insert_default();
    properties.insert("metadata".to_owned(), metadata);
    properties.insert("apiVersion".to_owned(), text());
    properties.insert("kind".to_owned(), text());
}

/// Fills in the schema's defaults, as storing the object would, and reports what does not fit the schema. A `status` is
/// taken away unread: it is not the user's to write. So is the one that a new object of the API server begins with.
pub(crate) fn check(kind: &str, object: &mut Value, found: &mut Vec<Violation>) {
    let Some(root) = SCHEMAS.get(kind) else { return };
    let forget_status = |object: &mut Value| {
        if let Value::Object(fields) = object {
            fields.remove("status");
        }
    };
    forget_status(object);
    Walk { found, path: String::new() }.value(object, root);
    forget_status(object);
}

struct Walk<'a> {
    found: &'a mut Vec<Violation>,
    path: String,
}

impl Walk<'_> {
    fn blame(&mut self, message: String) {
        self.found.push(Violation { field: self.path.clone(), message });
    }

    /// Does `f` one step further down the path.
    fn below(&mut self, step: &str, f: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        f(self);
        self.path.truncate(length);
    }

    fn value(&mut self, value: &mut Value, schema: &JSONSchemaProps) {
        if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
            return;
        }
        let wanted = schema.type_.as_deref().unwrap_or_default();
        let given = type_of(value);
        if wanted != given && !(wanted == "number" && given == "integer") {
            return self.blame(format!("must be of type {wanted}, not {given}"));
        }
        match value {
            Value::Object(fields) => self.object(fields, schema),
            Value::Array(items) => self.array(items, schema),
            Value::String(text) => {
                let max = schema.max_length.and_then(|max| usize::try_from(max).ok());
                if let Some(max) = max.filter(|&max| text.chars().count() > max) {
                    self.blame(format!("Too long: may not be more than {max} bytes"));
                }
            }
            Value::Number(number) => self.number(number.as_f64().unwrap_or(f64::NAN), schema),
            Value::Bool(_) | Value::Null => {}
        }
        self.enumeration(value, schema);
    }

    fn object(&mut self, fields: &mut Map<String, Value>, schema: &JSONSchemaProps) {
        let none = BTreeMap::new();
        let properties = schema.properties.as_ref().unwrap_or(&none);
        fields.retain(|_, value| !value.is_null());
        for (name, property) in properties {
            if let Some(default) = &property.default {
                fields.entry(name.as_str()).or_insert_with(|| default.0.clone());
            }
        }
        let values = match &schema.additional_properties {
            Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&**values),
            _ => None,
        };
        if let Some(max) = schema.max_properties.filter(|&max| fields.len() as i64 > max) {
            self.blame(format!("Too many: {}: must have at most {max} items", fields.len()));
        }
        for (name, value) in &mut *fields {
            self.below(name, |walk| match properties.get(name).or(values) {
                Some(schema) => walk.value(value, schema),
                None => walk.blame("unknown field".to_owned()),
            });
        }
        for name in schema.required.iter().flatten() {
            if !fields.contains_key(name) {
                self.below(name, |walk| walk.blame("Required value".to_owned()));
            }
        }
    }

    fn array(&mut self, items: &mut [Value], schema: &JSONSchemaProps) {
        let count = items.len() as i64;
        if let Some(max) = schema.max_items.filter(|&max| count > max) {
            self.blame(format!("Too many: {count}: must have at most {max} items"));
        }
        if let Some(min) = schema.min_items.filter(|&min| count < min) {
            self.blame(format!("should have at least {min} items"));
        }
        let Some(JSONSchemaPropsOrArray::Schema(item_schema)) = &schema.items else { return };
        for (index, item) in items.iter_mut().enumerate() {
            self.below(&format!("[{index}]"), |walk| walk.value(item, item_schema));
        }
        let keys = schema.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
        let identity = |item: &Value| match schema.x_kubernetes_list_type.as_deref() {
            Some("set") => Some(item.to_string()),
            Some("map") => {
                let fields = keys.iter().map(|key| (key.clone(), item[key.as_str()].clone()));
                Some(Value::Object(fields.collect()).to_string())
            }
            _ => None,
        };
        let mut seen = HashSet::new();
        for (index, id) in items.iter().map(identity).enumerate() {
            let Some(id) = id else { return };
            if seen.contains(&id) {
                self.below(&format!("[{index}]"), |walk| {
                    walk.blame(format!("Duplicate value: {id}"))
                });
            }
            seen.insert(id);
        }
    }

    fn number(&mut self, number: f64, schema: &JSONSchemaProps) {
        if let Some(min) = schema.minimum.filter(|&min| number < min) {
            self.blame(format!("should be greater than or equal to {min}"));
        }
        if let Some(max) = schema.maximum.filter(|&max| number > max) {
            self.blame(format!("should be less than or equal to {max}"));
        }
    }

    fn enumeration(&mut self, value: &Value, schema: &JSONSchemaProps) {
        let Some(allowed) = &schema.enum_ else { return };
        if !allowed.iter().any(|a| a.0 == *value) {
            let list: Vec<_> = allowed.iter().map(|a| a.0.to_string()).collect();
            let list = list.join(", ");
            self.blame(format!("Unsupported value: {value}: supported values: {list}"));
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
