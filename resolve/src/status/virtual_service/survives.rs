//! Whether established connections go on when the director that carries them dies.

use super::View;
use crate::{Verdict, reason};
use lvs_crds::Forwarding;

impl View<'_> {
    pub(super) fn survives_failover(&self) -> Verdict {
        let name = &self.resolution.director_group;
        let no = |reason, text: String| Verdict::no(reason, text);
        let group = self.snapshot.director_group(name);
        let group = group.filter(|_| self.resolution.directors.len() > 1);
        let Some(group) = group else {
            let text = format!(
                "DirectorGroup {name} has no second director to take over; let its nodeSelector match several nodes"
            );
            return no(reason::ONE_DIRECTOR, text);
        };
        let servers = || self.slices.iter().flat_map(|slice| &slice.spec.real_servers);
        let masquerade = self.slices.iter().any(|slice| slice.spec.masquerade);
        let nat = servers().any(|server| server.forwarding == Forwarding::NAT);
        if nat && !masquerade && group.spec.nat_gateways.is_empty() {
            let text = format!(
                "NAT: the replies of real servers go to one director, whichever carries the VIP; give DirectorGroup {name} \
                 natGateways, which move with the VIPs, and let the real servers' default route lead there"
            );
            return no(reason::NO_FLOATING_GATEWAY, text);
        }
        let mut services = self.slices.iter().flat_map(|slice| &slice.spec.services).peekable();
        if services.peek().is_some() && services.all(|service| service.one_packet) {
            let text = "onePacket: each datagram is balanced for itself, so there are no connections to lose";
            return Verdict::yes(reason::ONE_PACKET, text);
        }
        if group.status.as_ref().is_none_or(|status| status.sync_id.is_none()) {
            let text = format!(
                "The directors of DirectorGroup {name} do not tell each other of connections; see its connectionSync"
            );
            return no(reason::SYNC_DISABLED, text);
        }
        if let Some(mixed) = self.snapshot.mixed_families(name).next() {
            let text = format!(
                "VirtualService {mixed} has a tunnel to a real server of the other address family, and the kernel has either \
                 such real servers or connection sync; give it a DirectorGroup on other nodes"
            );
            return no(reason::MIXED_FAMILIES, text);
        }
        if nat && masquerade {
            let text = "nat.masquerade: the address and port that a real server sees are the director's own, and die with it; \
                        without masquerade, and with natGateways, connections survive";
            return no(reason::MASQUERADE, text.to_owned());
        }
        let text = "Directors tell each other of connections; established ones go on.";
        Verdict::yes(reason::CONNECTIONS_SYNCED, text)
    }
}
