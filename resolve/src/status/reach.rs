//! Whether clients that run on the directors, or on the real servers, reach the VIP.

use crate::{Verdict, reason};
use lvs_crds::Forwarding;
use std::collections::BTreeSet;

/// What becomes of clients on the machines that carry a service out, by how its real servers are reached.
pub(super) fn from_nodes(forwarding: &BTreeSet<Forwarding>, masquerade: bool) -> Verdict {
    let direct: Vec<&str> =
        forwarding.iter().filter(|f| **f != Forwarding::NAT).map(|f| f.as_str()).collect();
    if !direct.is_empty() {
        let direct = direct.join(" and ");
        return Verdict::no(
            reason::VIP_IS_LOCAL,
            format!(
                "{direct}: a client on a director has the VIP as its own address, so the real server takes the packet for \
                 its own and does not answer; one on a real server meets the server there, balanced to or not. Let \
                 such clients ask a real server directly, or use forwarding NAT with nat.masquerade"
            ),
        );
    }
    if masquerade {
        let message = "Clients on directors and on real servers are served like any other.";
        return Verdict::yes(reason::REACHABLE, message);
    }
    Verdict::no(
        reason::REPLIES_BYPASS_DIRECTOR,
        "NAT: clients on a director are served; but to a client on a real server the replies go past the director, which \
         would have to give them the VIP back. Set nat.masquerade if there are such clients",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use Forwarding::{DR, NAT, TUN};

    #[test]
    fn each_mode_says_whether_own_clients_are_served_and_what_helps() {
        let cases: &[(&[Forwarding], bool, bool, &str, &str)] = &[
            (&[NAT], true, true, "Reachable", "served"),
            (&[NAT], false, false, "RepliesBypassDirector", "nat.masquerade"),
            (&[DR], false, false, "VIPIsLocal", "DR:"),
            (&[TUN], false, false, "VIPIsLocal", "TUN:"),
            (&[DR], true, false, "VIPIsLocal", "nat.masquerade"),
            (&[NAT, DR], true, false, "VIPIsLocal", "DR:"),
            (&[NAT, DR, TUN], false, false, "VIPIsLocal", "DR and TUN:"),
        ];
        for (forwarding, masquerade, status, reason, told) in cases {
            let verdict = from_nodes(&forwarding.iter().copied().collect(), *masquerade);
            assert_eq!(
                (verdict.is_true(), verdict.reason.as_str()),
                (*status, *reason),
                "{forwarding:?}"
            );
            assert!(verdict.message.contains(told), "{told}: {}", verdict.message);
        }
    }
}
