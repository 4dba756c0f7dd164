//! How full the kernel's table of connections is, and whether its chains have grown long.

use lvs_crds::{FailedRole, Failure};

/// Connections to a bucket above which chains are long. What it costs: docs/connections.md.
const LONG: u64 = 8;
/// The warning goes below a part of [`LONG`], so that a number that swings around it does not make it come and go.
const SHORT: u64 = LONG / 2;
/// What `conn_tab_bits` is recommended: as many buckets as any kernel takes (ip_vs_conn_init in
/// net/netfilter/ipvs/ip_vs_conn.c; later ones take up to 27).
const BITS: u32 = 20;
/// And where there are as many already.
const MORE_BITS: u32 = 24;

/// The table of connections as last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fill {
    connections: u64,
    buckets: u32,
    /// What the standing warning names: not the newest number, as each change of its text is a report.
    warned: Option<u64>,
}

impl Fill {
    /// Takes in what was seen. `buckets` is `None` where there is no IPVS. A kernel that fits their number to that of the
    /// connections stops at `conn_tab_bits` too (ip_vs_conn_desired_size in net/netfilter/ipvs/ip_vs_conn.c).
    pub(super) fn see(&mut self, connections: u64, buckets: Option<u32>) {
        self.connections = connections;
        self.buckets = buckets.unwrap_or_default();
        let buckets = u64::from(self.buckets);
        self.warned = match self.warned {
            _ if buckets == 0 => None,
            None => (connections > buckets * LONG).then_some(connections),
            Some(_) if connections < buckets * SHORT => None,
            Some(warned) if connections >= warned * 2 || connections <= warned / 2 => {
                Some(connections)
            }
            standing => standing,
        };
    }

    /// Connections in the table.
    pub(super) fn connections(self) -> u64 {
        self.connections
    }

    /// That chains are long, while they are.
    pub(super) fn warning(self) -> Option<Failure> {
        let connections = self.warned?;
        let chain = connections / u64::from(self.buckets.max(1));
        let bits = if self.buckets < 1 << BITS { BITS } else { MORE_BITS };
        let message = format!(
            "IPVS's connection table has {} buckets, and {connections} connections are some {chain} to a bucket, which \
             each packet has to search. Load ip_vs with more: `options ip_vs conn_tab_bits={bits}` in /etc/modprobe.d, or \
             ip_vs.conn_tab_bits={bits} on the kernel's command line; it takes effect when ip_vs is loaded",
            self.buckets
        );
        Some(Failure {
            namespace: None,
            virtual_service: None,
            role: FailedRole::Node,
            reason: "LongConnectionChains".to_owned(),
            message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Fill;

    fn warned(fill: &mut Fill, connections: u64) -> Option<String> {
        fill.see(connections, Some(4096));
        fill.warning().map(|warning| warning.message)
    }

    #[test]
    fn more_than_eight_to_a_bucket_is_told_with_the_numbers_and_the_fix() {
        let mut fill = Fill::default();
        assert_eq!(warned(&mut fill, 8 * 4096), None);
        let message = warned(&mut fill, 100_000).unwrap();
        for part in ["4096 buckets", "100000 connections", "some 24", "ip_vs conn_tab_bits=20"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(fill.warning().unwrap().reason, "LongConnectionChains");
    }

    #[test]
    fn a_number_that_swings_neither_makes_the_warning_come_and_go_nor_changes_it() {
        let mut fill = Fill::default();
        let first = warned(&mut fill, 40_000);
        assert!(first.is_some());
        for connections in [30_000, 50_000, 79_999, 20_001] {
            assert_eq!(warned(&mut fill, connections), first, "{connections}");
        }
        assert_ne!(warned(&mut fill, 80_000), first);
        assert!(warned(&mut fill, 16_384).is_some());
        assert_eq!(warned(&mut fill, 16_383), None);
        assert_eq!(warned(&mut fill, 30_000), None);
    }

    #[test]
    fn a_kernel_that_has_made_more_buckets_by_itself_gets_no_warning() {
        let mut fill = Fill::default();
        warned(&mut fill, 100_000);
        fill.see(100_000, Some(1 << 20));
        assert_eq!((fill.warning(), fill.connections()), (None, 100_000));
    }

    #[test]
    fn where_there_are_2_to_the_20_buckets_more_are_recommended() {
        let mut fill = Fill::default();
        fill.see(10_000_000, Some(1 << 20));
        assert!(fill.warning().unwrap().message.contains("conn_tab_bits=24"));
    }
}
