//! What can be wrong with a manifest file.

use super::{MAX_DOCUMENT_BYTES, MAX_FILE_BYTES, Object};
use crate::{GROUP, VERSION, Violation};
use std::error::Error;
use std::fmt;

/// Why a document, or a whole file, is refused.
#[derive(Debug)]
pub struct ManifestError {
    /// The line of the file at which the trouble is or the document begins, from 1; none where it is the whole file.
    pub line: Option<usize>,
    /// The object, such as `VirtualService web/shop`, as soon as it is known.
    pub object: Option<String>,
    /// What the document says to be, as far as that can be told: as written, and of what is no YAML what looks like it.
    pub kind: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a document or file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("the file has {0} bytes, more than the {MAX_FILE_BYTES} that are read; split it")]
    FileTooLarge(usize),
    /// The document is larger than [`MAX_DOCUMENT_BYTES`].
    #[error(
        "the document has {0} bytes, more than the {MAX_DOCUMENT_BYTES} that an object may have"
    )]
    DocumentTooLarge(usize),
    /// The file is no text.
    #[error("the file is no UTF-8 text")]
    NotText(#[source] std::str::Utf8Error),
    /// The file has no document.
    #[error("no manifest in it: empty, or nothing but comments")]
    Empty,
    /// A tab where YAML wants spaces.
    #[error("a tab in the indentation; YAML indents with spaces only")]
    Tab,
    /// The text is no YAML. Also: it asks for more memory than a manifest may.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// The document is a list or a single value.
    #[error("not an object; it has to begin with apiVersion, kind and metadata")]
    NotAnObject,
    /// `apiVersion` or `kind` is missing, or no text.
    #[error("apiVersion and kind are needed: apiVersion: {GROUP}/{VERSION}, and kind: one of {kinds}", kinds = Object::KINDS.join(", "))]
    NoKind,
    /// A kind that is not ours to read.
    #[error(
        "apiVersion {api_version}, kind {kind}: not known here; apiVersion has to be {GROUP}/{VERSION}, and kind one of {kinds}",
        kinds = Object::KINDS.join(", ")
    )]
    UnknownKind {
        /// As written.
        api_version: String,
        /// As written.
        kind: String,
    },
    /// The object breaks its schema or rules; at least one.
    #[error("{}", join(.0))]
    Invalid(Vec<Located>),
    /// The object fits its schema, but not our types.
    #[error("cannot be read")]
    Decode(#[source] serde_json::Error),
}

/// A violation and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The line of the file, from 1: the field's, or of the object that lacks it.
    pub line: Option<usize>,
    /// What is wrong.
    pub violation: Violation,
}

fn join(violations: &[Located]) -> String {
    let texts: Vec<_> = violations.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.violation.fmt(f)
    }
}

impl ManifestError {
    pub(super) const fn of_file(problem: Problem) -> Self {
        Self { line: None, object: None, kind: None, problem }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The lines of violations say more than the line at which their document begins.
        if let (Some(line), false) = (self.line, matches!(self.problem, Problem::Invalid(_))) {
            write!(f, "line {line}: ")?;
        }
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        self.problem.fmt(f)
    }
}

impl Error for ManifestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.problem.source()
    }
}
