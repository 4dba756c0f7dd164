//! How much is read of an answer, how much of it is shown, and how long one took.

use std::time::{Duration, Instant};

/// So many bytes of an answer are read at most.
pub const MOST: usize = 64 * 1024;

/// How long it took, as people read it.
pub(crate) fn took(start: Instant) -> String {
    let took = start.elapsed();
    if took < Duration::from_millis(10) {
        format!("{:.1} ms", took.as_secs_f64() * 1e3)
    } else {
        format!("{} ms", took.as_millis())
    }
}

/// As much of a server's words as a status shows.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
