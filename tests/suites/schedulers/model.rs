//! The schedulers as they are described, to say beforehand which server the next connection must get. The order of the
//! servers is the kernel's, and of equal ones the first is taken.

use lvs_tests::scenario::Farm;

/// A server with the connections that it has.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) weight: u64,
    /// Established ones.
    pub(crate) active: u64,
    /// All that the director still knows.
    pub(crate) total: u64,
}

/// Servers without a connection, in the kernel's order.
pub(crate) fn idle(farm: &Farm) -> Vec<Server> {
    let server = |(name, weight): (String, i64)| {
        let weight = weight.try_into().expect("a weight");
        Server { name, weight, active: 0, total: 0 }
    };
    farm.in_order().into_iter().map(server).collect()
}

/// Where `count` connections go that are opened one after the other and held.
pub(crate) fn hold(
    servers: &mut [Server],
    count: usize,
    mut pick: impl FnMut(&[Server]) -> usize,
) -> Vec<String> {
    let next = |_| {
        let index = pick(servers);
        servers[index].active += 1;
        servers[index].total += 1;
        servers[index].name.clone()
    };
    (0..count).map(next).collect()
}

/// The server with the least of `cost / weight` among these (ip_vs_wlc.c).
fn least<'a>(
    servers: impl Iterator<Item = (usize, &'a Server)>,
    cost: fn(&Server) -> u64,
) -> usize {
    let mut least: Option<(usize, &Server)> = None;
    for (index, server) in servers.filter(|(_, server)| server.weight > 0) {
        if least.is_none_or(|(_, least)| cost(least) * server.weight > cost(server) * least.weight)
        {
            least = Some((index, server));
        }
    }
    least.expect("a server with a weight").0
}

/// An established connection counts as much as 257 others (`ip_vs_dest_conn_overhead`).
const fn overhead(server: &Server) -> u64 {
    server.active * 256 + server.total
}

pub(crate) fn wlc(servers: &[Server]) -> usize {
    least(servers.iter().enumerate(), overhead)
}

/// As wlc, were all weights equal (ip_vs_lc.c).
pub(crate) fn lc(servers: &[Server]) -> usize {
    let weight = |server: &Server| Server { weight: server.weight.min(1), ..server.clone() };
    wlc(&servers.iter().map(weight).collect::<Vec<_>>())
}

/// The connection that is about to come is counted, closed ones are not (ip_vs_sed.c).
pub(crate) fn sed(servers: &[Server]) -> usize {
    least(servers.iter().enumerate(), |server| server.active + 1)
}

/// The first idle one, however slow (ip_vs_nq.c).
pub(crate) fn nq(servers: &[Server]) -> usize {
    let idle = servers.iter().position(|server| server.active == 0 && server.weight > 0);
    idle.unwrap_or_else(|| sed(servers))
}

/// The heaviest of those that have at most as many as their weight (ip_vs_ovf.c: `activeconns > w` is full).
pub(crate) fn ovf(servers: &[Server]) -> usize {
    let open =
        |server: &&(usize, &Server)| server.1.weight > 0 && server.1.active <= server.1.weight;
    let all: Vec<_> = servers.iter().enumerate().collect();
    // max_by_key would take the last of several.
    all.iter()
        .filter(open)
        .rev()
        .max_by_key(|(_, server)| server.weight)
        .expect("one that is not full")
        .0
}

/// Whether lblc and lblcr turn to another server (`is_overloaded` in ip_vs_lblc.c).
fn is_overloaded(server: &Server, servers: &[Server]) -> bool {
    server.active > server.weight && servers.iter().any(|other| other.active * 2 < other.weight)
}

/// One destination address: its server until that is overloaded, then the one that wlc gives.
pub(crate) fn lblc() -> impl FnMut(&[Server]) -> usize {
    let mut remembered: Option<usize> = None;
    move |servers| {
        let good = remembered.filter(|&index| !is_overloaded(&servers[index], servers));
        let index = good.unwrap_or_else(|| wlc(servers));
        remembered = Some(index);
        index
    }
}

/// One destination address: the least loaded of its servers; if that is overloaded, the set gets one more.
pub(crate) fn lblcr() -> impl FnMut(&[Server]) -> usize {
    let mut set: Vec<usize> = Vec::new();
    move |servers| {
        if !set.is_empty() {
            let index = least(set.iter().map(|&index| (index, &servers[index])), overhead);
            if !is_overloaded(&servers[index], servers) {
                return index;
            }
        }
        let index = wlc(servers);
        if !set.contains(&index) {
            set.insert(0, index);
        }
        index
    }
}

/// One round of wrr: passes over all servers with a bar that sinks from the largest weight by their greatest common
/// divisor (ip_vs_wrr.c).
pub(crate) fn wrr_round(servers: &[Server]) -> Vec<String> {
    let divisor = servers.iter().fold(0, |divisor, server| gcd(divisor, server.weight)).max(1);
    let largest = servers.iter().map(|server| server.weight).max().unwrap_or(0);
    let bars = (1..=largest / divisor).rev().map(|step| step * divisor);
    bars.flat_map(|bar| servers.iter().filter(move |server| server.weight >= bar))
        .map(|server| server.name.clone())
        .collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The table of sh: 256 places, filled by the servers in turn, each as many at a time as its weight, and at least one
/// (`ip_vs_sh_reassign`).
pub(crate) struct SourceHash {
    places: Vec<usize>,
}

impl SourceHash {
    pub(crate) fn new(servers: &[Server]) -> SourceHash {
        let round = servers.iter().enumerate().flat_map(|(index, server)| {
            std::iter::repeat_n(index, server.weight.max(1).try_into().expect("a weight"))
        });
        SourceHash { places: round.collect::<Vec<_>>().into_iter().cycle().take(256).collect() }
    }

    /// `hash_32` of include/linux/hash.h, to 8 bits, of address and port together; the port is 0 without shPort.
    fn hash(address: std::net::Ipv4Addr, port: u16) -> usize {
        let sum = address.to_bits().wrapping_add(u32::from(port));
        (sum.wrapping_mul(0x61C8_8647) >> 24) as usize
    }

    /// The server of a client; without `fallback`, one of weight 0 is `None`.
    pub(crate) fn server<'a>(
        &self,
        servers: &'a [Server],
        address: std::net::Ipv4Addr,
        port: u16,
        fallback: bool,
    ) -> Option<&'a str> {
        let hash = SourceHash::hash(address, port);
        let at = |place: usize| {
            Some(&servers[self.places[place % 256]]).filter(|server| server.weight > 0)
        };
        let found = match fallback {
            false => at(hash),
            // ip_vs_sh_get_fallback begins to search at the hash's own double.
            true => at(hash).or_else(|| (0..256).find_map(|offset| at(2 * hash + offset))),
        };
        found.map(|server| server.name.as_str())
    }
}
