//! Tars that depend on nothing but their content: no owner, no clock, no order of a directory.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// One file of a tar.
pub(crate) struct File<'a> {
    /// Without a leading slash.
    pub(crate) path: &'a str,
    pub(crate) mode: u32,
    pub(crate) bytes: &'a [u8],
}

/// A tar of files, in the order of their paths, with the folders that lead to them; all of root's, all of one time.
pub(crate) fn tar(files: &mut [File<'_>], seconds: u64) -> std::io::Result<Vec<u8>> {
    files.sort_by_key(|file| file.path);
    let mut builder = Builder::new(Vec::new());
    let mut folders = std::collections::BTreeSet::new();
    for file in files.iter() {
        for (end, _) in file.path.match_indices('/') {
            let folder = file.path.get(..=end).unwrap_or_default();
            if folders.insert(folder) {
                let mut header = header(EntryType::Directory, 0o755, 0, seconds);
                builder.append_data(&mut header, folder, std::io::empty())?;
            }
        }
        let mut header = header(EntryType::Regular, file.mode, file.bytes.len() as u64, seconds);
        builder.append_data(&mut header, file.path, file.bytes)?;
    }
    builder.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64, seconds: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(size);
    header.set_mtime(seconds);
    header
}

/// Compresses without a name and a time in the header (RFC 1952, section 2.3.1).
pub(crate) fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
