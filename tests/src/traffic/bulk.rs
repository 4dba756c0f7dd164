//! Large transfers, both ways on one connection: the client's bytes to the server, then as many back.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{Answer, Client};

/// What is written or read at once: more than a segment, less than a socket's buffer.
const PIECE: usize = 16 * 1024;

/// Byte number `at` of every transfer: a prime's period, so that a lost or doubled segment is seen.
fn byte(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap_or_default()
}

fn send(stream: &mut TcpStream, bytes: usize) -> anyhow::Result<()> {
    let mut done = 0;
    while done < bytes {
        let piece: Vec<u8> = (done..bytes.min(done + PIECE)).map(byte).collect();
        let written = stream.write_all(&piece);
        written.with_context(|| format!("stuck after about {done} of {bytes} bytes"))?;
        done += piece.len();
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, bytes: usize) -> anyhow::Result<()> {
    let (mut done, mut piece) = (0, [0; PIECE]);
    while done < bytes {
        let room = (bytes - done).min(PIECE);
        let length = stream.read(&mut piece[..room]);
        let length = length.with_context(|| format!("stuck after {done} of {bytes} bytes"))?;
        ensure!(length > 0, "closed after {done} of {bytes} bytes");
        let wrong = (0..length).find(|at| piece[*at] != byte(done + at));
        ensure!(wrong.is_none(), "byte {} came out wrong", done + wrong.unwrap_or_default());
        done += length;
    }
    Ok(())
}

/// The server's part: a length in eight bytes, as many bytes, and then its answer's line and the same bytes back.
pub(super) fn answer(mut stream: TcpStream, name: &str, patience: Duration) -> anyhow::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let bytes = usize::try_from(u64::from_be_bytes(length))?;
    receive(&mut stream, bytes)?;
    let (seen_source, seen_local) = (stream.peer_addr()?, stream.local_addr()?);
    let line = Answer { server: name.to_owned(), seen_source, seen_local }.to_line();
    stream.write_all(&u64::try_from(line.len())?.to_be_bytes())?;
    stream.write_all(line.as_bytes())?;
    send(&mut stream, bytes)
}

impl Client<'_> {
    /// Sends this many bytes to a [`super::Server::bulk`] and takes as many back, on a new TCP connection.
    ///
    /// # Errors
    /// When the connection fails, or nothing moves for the client's patience, with how far it came.
    pub fn bulk(&self, server: &str, bytes: usize) -> anyhow::Result<Answer> {
        self.node().run(|| {
            let mut stream = self.stream(server)?;
            stream.set_write_timeout(Some(self.patience_of()))?;
            stream.write_all(&u64::try_from(bytes)?.to_be_bytes())?;
            send(&mut stream, bytes).context("to the server")?;
            let mut length = [0; 8];
            stream.read_exact(&mut length).context("no answer after all was sent")?;
            let mut line = vec![0; usize::try_from(u64::from_be_bytes(length))?];
            stream.read_exact(&mut line)?;
            receive(&mut stream, bytes).context("from the server")?;
            Answer::parse(&String::from_utf8_lossy(&line))
        })
    }
}
