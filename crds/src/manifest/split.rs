//! A YAML stream's documents, so that one that is broken does not take the others along.

/// A document's text.
pub(super) struct Document {
    /// What stands between two markers, the first one's line included.
    pub(super) text: String,
    /// The line of the file at which `text` begins, from 1.
    pub(super) first_line: usize,
}

/// Splits at lines that begin with `---`. No content can look like that: YAML forbids the marker at the beginning of a
/// line within scalars, a block scalar's lines being indented (YAML 1.2.2, 9.1.2 and `c-forbidden`).
pub(super) fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let mut current = Document { text: String::new(), first_line: 1 };
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match after_marker(line) {
            Some(rest) => {
                documents.push(current);
                // The marker's width is kept, so that columns stay true.
                current = Document { text: format!("   {rest}"), first_line: index + 1 };
            }
            None => current.text.push_str(line),
        }
    }
    documents.push(current);
    documents.retain(|document| document.text.lines().any(has_content));
    documents
}

fn after_marker(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("---")?;
    (rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])).then_some(rest)
}

/// Whether a line is more than a comment, a directive (`%YAML 1.2`) or an end marker.
fn has_content(line: &str) -> bool {
    let trimmed = line.trim();
    !(trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%') || trimmed == "...")
}
