//! Content-addressed blobs, as the image specification names them.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes under their digest.
pub(crate) struct Blob {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    /// The digest in hex, which is the blob's file name.
    pub(crate) fn hex(&self) -> String {
        sha256(&self.bytes)
    }

    /// How another document of the image refers to it.
    pub(crate) fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": format!("sha256:{}", self.hex()),
            "size": self.bytes.len(),
        })
    }
}

/// The SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
