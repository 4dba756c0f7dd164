//! Which part this node plays in a DirectorGroup. An input of [`crate::plan`], so that it can come from elsewhere:
//! today from the group's member list alone, later from VRRP.

use lvs_crds::{DirectorGroup, DirectorRole};

/// What `node` is in `group`: `None` where it is no member.
///
/// The operator lists one member, the active director. Were there more, only the first may be active: two directors
/// that both hold a VIP are worse than none.
pub fn verdict(group: &DirectorGroup, node: &str) -> Option<DirectorRole> {
    let members = &group.status.as_ref()?.members;
    let position = members.iter().position(|member| member.node == node)?;
    Some(if position == 0 { DirectorRole::Active } else { DirectorRole::Standby })
}
