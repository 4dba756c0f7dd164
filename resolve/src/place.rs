//! Which slice a real server stands in. A server keeps its slice, so that one server's change is one small write.

use crate::Key;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lvs_crds::{MAX_REAL_SERVERS, SliceRealServer, VirtualServiceSlice};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The longest name that the API server takes.
const MAX_NAME: usize = 253;

/// The name of a VirtualService's slice: the service's name and a number.
pub fn slice_name(service: &str, number: u32) -> String {
    let suffix = format!("-{number}");
    if service.len() + suffix.len() <= MAX_NAME {
        return format!("{service}{suffix}");
    }
    // Names are ASCII; two long ones may differ only in what is cut off, hence the hash.
    let suffix = format!("-{:08x}{suffix}", fnv1a(service));
    let cut: String = service.chars().take(MAX_NAME.saturating_sub(suffix.len())).collect();
    format!("{cut}{suffix}")
}

/// FNV-1a, 32 bits: the same in every build, which the standard library's hashers do not promise.
pub(crate) fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A real server for the purpose of placement: a node with two address families counts twice.
type Identity<'a> = (&'a str, bool);

fn identity(server: &SliceRealServer) -> Identity<'_> {
    (&server.name, server.address.contains(':'))
}

/// Spreads real servers over slices.
///
/// A slice that has lost its last real server stays, empty, until `settled`, the resourceVersion up to which every
/// director has been read back, has reached it: a deletion leaves no resourceVersion behind that a report could be
/// compared with.
pub(crate) fn place<'a>(
    key: &Key,
    servers: Vec<SliceRealServer>,
    existing: impl Iterator<Item = (&'a Key, &'a std::sync::Arc<VirtualServiceSlice>)>,
    settled: u64,
) -> BTreeMap<String, Vec<SliceRealServer>> {
    let existing: Vec<_> = existing.collect();
    let mut home: HashMap<Identity<'_>, &str> = HashMap::new();
    let mut slices: BTreeMap<String, Vec<SliceRealServer>> = BTreeMap::new();
    let mut emptied: BTreeSet<&str> = BTreeSet::new();
    for (name, slice) in &existing {
        for server in &slice.spec.real_servers {
            home.entry(identity(server)).or_insert(&name.name);
        }
        if slice.spec.real_servers.is_empty() && version(&slice.metadata) <= settled {
            emptied.insert(&name.name);
        }
        slices.insert(name.name.clone(), Vec::new());
    }
    let mut homeless = Vec::new();
    for server in servers {
        let slice = home.get(&identity(&server)).and_then(|name| slices.get_mut(*name));
        match slice.filter(|slice| slice.len() < MAX_REAL_SERVERS) {
            Some(slice) => slice.push(server),
            None => homeless.push(server),
        }
    }
    // The fullest first: the number of slices stays small.
    for server in homeless {
        let open = slices.iter_mut().filter(|(_, servers)| servers.len() < MAX_REAL_SERVERS);
        match open.max_by_key(|(name, servers)| (servers.len(), std::cmp::Reverse(name.len()))) {
            Some((_, servers)) => servers.push(server),
            None => {
                let name = free_name(key, &slices);
                slices.insert(name, vec![server]);
            }
        }
    }
    slices.retain(|name, servers| !servers.is_empty() || !emptied.contains(name.as_str()));
    if slices.is_empty() {
        // The VIP stands even where nobody serves.
        let name = existing.first().map(|(name, _)| name.name.clone());
        slices.insert(name.unwrap_or_else(|| slice_name(&key.name, 0)), Vec::new());
    }
    for servers in slices.values_mut() {
        servers.sort_by(|a, b| identity(a).cmp(&identity(b)));
    }
    slices
}

fn free_name(key: &Key, slices: &BTreeMap<String, Vec<SliceRealServer>>) -> String {
    let mut number = 0;
    loop {
        let name = slice_name(&key.name, number);
        if !slices.contains_key(&name) {
            return name;
        }
        number += 1;
    }
}

/// A slice's resourceVersion; 0 for one that came from no API server.
pub(crate) fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}
