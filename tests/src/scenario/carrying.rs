//! What an agent's engine would tell the thread that carries floating addresses, for those who drive that thread alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lvs_agent::failover::{Want, WantedRouter, Wants};
use lvs_crds::Member;

/// A director.
pub fn member(name: &str, address: &str) -> Member {
    Member {
        node: name.to_owned(),
        addresses: vec![address.to_owned()],
        macs: Vec::new(),
        mtu: None,
    }
}

/// What a group wants of the member `own`, with the default profile's interval and without preemption.
pub fn want(own: &str, members: Vec<Member>, routers: BTreeMap<u8, WantedRouter>) -> Want {
    Want {
        own: own.to_owned(),
        members,
        interval: Duration::from_millis(90),
        preempt: None,
        multicast: false,
        interface: None,
        presence: 250,
        routers,
    }
}

/// What all groups want, told as the `number`th time.
pub fn wants(number: u64, groups: Vec<(&str, Want)>) -> Wants {
    let groups = groups.into_iter().map(|(name, want)| (name.to_owned(), want)).collect();
    Wants { number, groups, staying: BTreeSet::new() }
}
