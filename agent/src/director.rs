//! Which part this node plays in a DirectorGroup. An input of [`crate::plan`]; who of several carries what is decided
//! elsewhere, by [`crate::failover`].

use lvs_crds::DirectorGroup;

/// What a node is in a DirectorGroup that it is a director of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The only director: VIPs and gateways stand on it.
    Alone,
    /// One of several: all stands ready, and VIPs and gateways are at whom [`crate::failover`] says.
    OneOfSeveral,
}

/// What `node` is in `group`: `None` where it is no member.
pub fn part(group: &DirectorGroup, node: &str) -> Option<Part> {
    let members = &group.status.as_ref()?.members;
    members.iter().any(|member| member.node == node).then_some(match members.len() {
        1 => Part::Alone,
        _ => Part::OneOfSeveral,
    })
}
