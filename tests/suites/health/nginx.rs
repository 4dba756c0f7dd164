//! A real web server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lvs_tests::net::{Daemon, Node};

/// nginx at port 8080 of a node, with files of its own.
pub(super) struct Nginx {
    node: Node,
    folder: PathBuf,
    daemon: Option<Daemon>,
}

impl Nginx {
    /// Starts it; `/healthz` is `ok`.
    #[track_caller]
    pub(super) fn start(node: &Node) -> Nginx {
        let folder = PathBuf::from(format!("/tmp/nginx-{}", node.name()));
        fs::create_dir_all(folder.join("www")).expect("a folder");
        let at = folder.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let text = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log stderr;\nevents {{}}\n\
             http {{ access_log off;\n{temporary}server {{ listen 8080; root {at}/www; }} }}\n"
        );
        fs::write(folder.join("nginx.conf"), text).expect("a configuration");
        let mut nginx = Nginx { node: node.clone(), folder, daemon: None };
        nginx.put("healthz", "ok");
        nginx.run();
        nginx
    }

    /// Starts it when it is not running.
    #[track_caller]
    pub(super) fn run(&mut self) {
        if self.daemon.is_none() {
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-c").arg(self.folder.join("nginx.conf"));
            self.daemon = Some(self.node.spawn(&mut command));
        }
    }

    /// Puts a file.
    #[track_caller]
    pub(super) fn put(&self, file: &str, text: &str) {
        fs::write(self.folder.join("www").join(file), text).expect("a file");
    }

    /// Takes a file away.
    #[track_caller]
    pub(super) fn remove(&self, file: &str) {
        fs::remove_file(self.folder.join("www").join(file)).expect("a file");
    }

    /// The server and its worker are gone.
    pub(super) fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.term();
            let _ = daemon.wait(std::time::Duration::from_secs(5));
        }
    }
}
