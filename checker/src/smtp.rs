//! A mail server's greeting and its answer to EHLO (RFC 5321), with STARTTLS (RFC 3207) if wanted.

use crate::answer::short;
use crate::connection::Deadline;
use crate::failure::{BadCheck, Failure};
use crate::tls::Tls;
use lvs_crds::SmtpCheck;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// All lines of one answer together.
const MOST: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct Smtp {
    name: String,
    tls: Option<Tls>,
}

impl Smtp {
    pub(crate) fn new(check: &SmtpCheck) -> Result<Self, BadCheck> {
        let name = check.helo_name.clone().unwrap_or_else(|| "kube-lvs.invalid".to_owned());
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadCheck::new("smtp.heloName", "not a host's name"));
        }
        let fields = ("smtp.tls.serverName", "smtp.tls.ca");
        let tls = check.start_tls.then(|| Tls::new(check.tls.as_ref(), None, None, fields));
        Ok(Self { name, tls: tls.transpose()? })
    }

    pub(crate) async fn run(&self, at: SocketAddr, until: Deadline) -> Result<String, Failure> {
        let mut stream = until.connect(at).await?;
        let talk = async {
            expect(&mut stream, "220", "greeting").await?;
            say(&mut stream, &format!("EHLO {}\r\n", self.name)).await?;
            let offered = expect(&mut stream, "250", "EHLO").await?;
            if self.tls.is_none() {
                return Ok(());
            }
            let starts = |line: &str| line.get(4..).is_some_and(|it| it.trim() == "STARTTLS");
            if !offered.lines().any(starts) {
                return Err(Failure::Answer("STARTTLS is not offered".to_owned()));
            }
            say(&mut stream, "STARTTLS\r\n").await?;
            expect(&mut stream, "220", "STARTTLS").await.map(drop)
        };
        until.answer(talk).await?;
        match &self.tls {
            None => {
                // It may be gone already; it has passed.
                let _ = until.answer(say(&mut stream, "QUIT\r\n")).await;
                Ok("EHLO answered".to_owned())
            }
            Some(tls) => {
                tls.connect(stream, at.ip(), until).await?;
                Ok("STARTTLS answered".to_owned())
            }
        }
    }
}

async fn say(stream: &mut TcpStream, text: &str) -> Result<(), Failure> {
    stream.write_all(text.as_bytes()).await.map_err(Failure::Connection)
}

/// All lines of an answer, the last of which has no `-` behind its code.
async fn expect(stream: &mut TcpStream, code: &str, to: &str) -> Result<String, Failure> {
    let mut received = Vec::new();
    loop {
        let end = || Failure::Connection(io::ErrorKind::UnexpectedEof.into());
        let mut buffer = [0; 512];
        let length = stream.read(&mut buffer).await.map_err(Failure::Connection)?;
        if length == 0 {
            return Err(end());
        }
        received.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let text = String::from_utf8_lossy(&received);
        let whole = text.ends_with('\n');
        let last = text.lines().last().unwrap_or_default();
        let ends = |it: &u8| *it == b' ' || *it == b'\r' || *it == b'\n';
        if whole && last.as_bytes().get(3).is_none_or(ends) {
            if text.starts_with(code) {
                return Ok(text.into_owned());
            }
            let first = short(text.lines().next().unwrap_or_default());
            return Err(Failure::Answer(format!("{to}: {first}")));
        }
        if received.len() > MOST {
            return Err(Failure::Garbled(format!("SMTP: more than {MOST} bytes")));
        }
    }
}
