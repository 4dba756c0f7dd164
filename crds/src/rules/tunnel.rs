//! The rules of a tunnel, which a VirtualService and a RealServer can have.

use super::{Rule, blame_if};
use crate::{Tunnel, TunnelChecksum, TunnelType};

pub(super) const RULES: &[Rule<Tunnel>] = &[
    Rule {
        at: "",
        blames: ".port",
        cel: "!has(self.port) || self.type == 'gue'",
        message: "only GUE has a port; leave it out, or set type: gue",
        broken: |tunnel| blame_if(tunnel.port.is_some() && tunnel.kind != TunnelType::Gue, "port"),
    },
    Rule {
        at: "",
        blames: ".checksum",
        cel: "!has(self.checksum) || self.type != 'ipip'",
        message: "ipip has no checksum besides IP's own; leave it out, or set type: gue or gre",
        broken: |tunnel| {
            blame_if(tunnel.checksum.is_some() && tunnel.kind == TunnelType::Ipip, "checksum")
        },
    },
    Rule {
        at: "",
        blames: ".checksum",
        cel: "!has(self.checksum) || self.checksum != 'remcsum' || self.type != 'gre'",
        message: "only GUE can leave the inner checksum to the receiver; set checksum: csum or nocsum, or \
                  type: gue",
        broken: |tunnel| {
            let remote = tunnel.checksum == Some(TunnelChecksum::Remcsum);
            blame_if(remote && tunnel.kind == TunnelType::Gre, "checksum")
        },
    },
];
