//! The log's file and its lock.

use super::JournalError;
use super::line::Line;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Held for the life of the journal; the lock goes with the process, however it ends.
    _lock: File,
    log: Option<File>,
    /// Bytes that are known to be whole lines.
    length: u64,
    lines: usize,
}

/// Below this many lines a log is never rewritten.
const FEW: usize = 64;

impl Store {
    /// Takes the lock and reads the log.
    pub(super) fn open(dir: &Path) -> Result<(Self, Vec<u8>), JournalError> {
        fs::create_dir_all(dir).map_err(failed("make", dir))?;
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(failed("open", &path))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => JournalError::InUse { dir: dir.to_owned() },
            TryLockError::Error(source) => failed("lock", &path)(source),
        })?;
        let path = dir.join("journal");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed("read", &path))?,
        };
        Ok((Self { dir: dir.to_owned(), _lock: lock, log: None, length: 0, lines: 0 }, text))
    }

    /// Keeps a damaged log for people to look at.
    pub(super) fn keep_damaged(&self, text: &[u8]) -> Result<(), JournalError> {
        let path = self.dir.join("journal.damaged");
        fs::write(&path, text).map_err(failed("write", &path))
    }

    /// Puts a new log in the place of the old one, at once and whole.
    pub(super) fn rewrite(&mut self, lines: &[Line]) -> Result<(), JournalError> {
        let (fresh, path) = (self.dir.join("journal.new"), self.dir.join("journal"));
        let text = render(lines).map_err(failed("write", &fresh))?;
        let file = File::create(&fresh)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
        file.map_err(failed("write", &fresh))?;
        fs::rename(&fresh, &path).map_err(failed("replace", &path))?;
        // Until here the old log stands and is written to.
        let opened = OpenOptions::new().append(true).open(&path);
        self.log = Some(opened.map_err(failed("open", &path))?);
        self.length = text.len() as u64;
        self.lines = lines.len();
        // The new name is on the disk only when the folder is.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", &self.dir))
    }

    /// Appends lines, waiting for the disk where `durable`. On an error the log is as before.
    pub(super) fn append(&mut self, lines: &[Line], durable: bool) -> Result<(), JournalError> {
        let path = self.dir.join("journal");
        let text = render(lines).map_err(failed("write", &path))?;
        let Some(log) = self.log.as_mut() else {
            return Err(failed("write", &path)(io::ErrorKind::NotConnected.into()));
        };
        let written = log.write_all(&text);
        let written = if durable { written.and_then(|()| log.sync_data()) } else { written };
        if let Err(error) = written {
            // Half a line must not run into the next. Where this fails too, the line is passed over on opening.
            let _ = log.set_len(self.length);
            return Err(failed("write", &path)(error));
        }
        self.length += text.len() as u64;
        self.lines += lines.len();
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn break_for_test(&mut self) {
        self.log = None;
    }

    /// Whether most of the log's lines no longer count.
    pub(super) fn is_mostly_history(&self, live: usize) -> bool {
        self.lines > 2 * live + FEW
    }
}

fn render(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { operation, path, source }
}
