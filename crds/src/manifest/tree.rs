//! A YAML document as a tree that still knows its lines, read within fixed limits of memory and time.

use super::error::{ManifestError, Problem};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::localizer::Localizer;
use serde_saphyr::{Location, Spanned, UserMessageFormatter};
use std::borrow::Cow;
use std::fmt;

/// Nodes of one document: a VirtualService with all that its lists may hold has a hundredth of it.
const MAX_NODES: usize = 100_000;
/// Events replayed for aliases, all together: enough to write a list once and use it often, and no billion laughs.
const MAX_REPLAYED_EVENTS: usize = 20_000;
/// Nesting. Our kinds nest less than ten deep.
const MAX_DEPTH: usize = 32;

/// A node and the line on which it, or its key, stands.
pub(super) struct Tree {
    line: usize,
    node: Node,
}

enum Node {
    Scalar(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// The text is no YAML, or too much of it.
pub(super) struct TreeError {
    line: Option<usize>,
    message: String,
}

/// The parser counts lines from the document's first; we say the file's, once.
struct NoLocation;

impl Localizer for NoLocation {
    fn attach_location<'a>(&self, message: Cow<'a, str>, _: Location) -> Cow<'a, str> {
        message
    }
}

impl TreeError {
    /// Blames the first tab of an indentation if there is one: no parser's message helps who cannot see it.
    pub(super) fn in_document(self, text: &str, first_line: usize) -> ManifestError {
        let tab = text.lines().position(|line| {
            let content = line.trim_start();
            !content.is_empty() && line[..line.len() - content.len()].contains('\t')
        });
        let (line, problem) = match tab {
            Some(index) => (Some(index + 1), Problem::Tab),
            None => (self.line, Problem::Yaml(self.message)),
        };
        let line = first_line + line.unwrap_or(1).max(1) - 1;
        ManifestError { line: Some(line), object: None, kind: super::looks_like(text), problem }
    }
}

impl Tree {
    pub(super) fn parse(text: &str) -> Result<Self, TreeError> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_nodes: MAX_NODES,
                max_events: 4 * MAX_NODES,
                max_depth: MAX_DEPTH,
                flow_nesting_limit: MAX_DEPTH,
                max_documents: 1,
                max_aliases: 1_000,
                max_anchors: 1_000,
                max_merge_keys: 1_000,
                max_recorded_anchor_events: MAX_NODES,
                max_recorded_anchor_bytes: super::MAX_DOCUMENT_BYTES,
                max_total_scalar_bytes: 2 * super::MAX_DOCUMENT_BYTES,
            },
            alias_limits: serde_saphyr::alias_limits! {
                max_total_replayed_events: MAX_REPLAYED_EVENTS,
                max_replay_stack_depth: 8,
            },
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| TreeError {
            line: error.location().and_then(|l| usize::try_from(l.line()).ok()),
            message: error.render_with_formatter(&UserMessageFormatter.with_localizer(&NoLocation)),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Node::Map(fields) => {
                let fields = fields.iter().map(|(key, tree)| (key.clone(), tree.to_json()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }

    /// The line of a field such as `spec.ports[0].port`, from 1 within the document; of the innermost object that is
    /// there, where it is missing.
    pub(super) fn line_of(&self, field: &str) -> Option<usize> {
        let mut tree = self;
        let mut line = None;
        for step in field.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
            let child = match &tree.node {
                Node::Map(fields) => fields.iter().find(|(key, _)| key == step).map(|(_, t)| t),
                Node::List(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
                Node::Scalar(_) => None,
            };
            let Some(child) = child else { break };
            tree = child;
            line = Some(tree.line);
        }
        line
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Node>::deserialize(deserializer)?;
        Ok(Self { line: line_number(&spanned), node: spanned.value })
    }
}

fn line_number<T>(spanned: &Spanned<T>) -> usize {
    usize::try_from(spanned.referenced.line()).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    // No field of ours takes so large a number: as a float it is refused for its type.
    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // JSON has no NaN and no infinity; as a text it is refused wherever a number is wanted.
        let number =
            Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number);
        Ok(Node::Scalar(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let mut tree: Tree = entries.next_value()?;
            tree.line = line_number(&key);
            fields.push((key.value, tree));
        }
        Ok(Node::Map(fields))
    }
}
