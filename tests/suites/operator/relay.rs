//! A relay in front of the API server that holds back what a client sends, as a network does that delivers late.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

#[derive(Default)]
struct Hold {
    held: Mutex<bool>,
    changed: Condvar,
}

/// Passes everything on, except that while it holds, nothing goes to the server.
pub(crate) struct Relay {
    address: SocketAddr,
    hold: Arc<Hold>,
}

impl Relay {
    pub(crate) fn start(server: &str) -> anyhow::Result<Relay> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let relay = Relay { address: listener.local_addr()?, hold: Arc::default() };
        let (hold, server) = (relay.hold.clone(), server.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(upstream) = TcpStream::connect(&server) else { continue };
                let Ok((from, to)) =
                    client.try_clone().and_then(|c| Ok((c, upstream.try_clone()?)))
                else {
                    continue;
                };
                let hold = hold.clone();
                thread::spawn(move || pump(from, to, Some(&hold)));
                thread::spawn(move || pump(upstream, client, None));
            }
        });
        Ok(relay)
    }

    /// From now on nothing reaches the server.
    pub(crate) fn hold(&self) {
        self.set(true);
    }

    /// What was held back reaches it now.
    pub(crate) fn release(&self) {
        self.set(false);
    }

    fn set(&self, held: bool) {
        *self.hold.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
        self.hold.changed.notify_all();
    }

    /// A copy of a kubeconfig that leads through the relay.
    pub(crate) fn kubeconfig(&self, of: &Path) -> anyhow::Result<PathBuf> {
        let mut config: Value = serde_json::from_slice(&std::fs::read(of)?)?;
        let cluster = &mut config["clusters"][0]["cluster"];
        cluster["server"] = format!("https://{}", self.address).into();
        cluster["tls-server-name"] = "kubernetes".into();
        let file = of.with_extension("relay");
        std::fs::write(&file, config.to_string())?;
        Ok(file)
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, hold: Option<&Hold>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if let Some(hold) = hold {
            let held = hold.held.lock().unwrap_or_else(PoisonError::into_inner);
            let open = hold.changed.wait_while(held, |held| *held);
            drop(open.unwrap_or_else(PoisonError::into_inner));
        }
        if count == 0 || to.write_all(buffer.get(..count).unwrap_or_default()).is_err() {
            break;
        }
    }
    // The other side may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
