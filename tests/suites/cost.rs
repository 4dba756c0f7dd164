//! What a change costs: it does not grow with the table.

#[path = "cost/requests.rs"]
mod requests;

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use lvs_tests::bench::Wide;

#[test]
fn one_weight_in_a_table_of_1000_x_10_costs_three_requests_to_the_kernel() {
    let guest = Guest::control_plane().virtual_time().limit(Duration::from_secs(900));
    in_guest(guest, || -> anyhow::Result<()> {
        let mut wide = Wide::program(1_000, 10)?;
        for weight in [7, 0, 9] {
            let before = wide.kernel_requests();
            wide.set_weight(weight)?;
            wide.wait_for_kernel(weight)?;
            wide.wait_until_read_back();
            let spent = wide.kernel_requests() - before;
            assert!((1.0..=3.0).contains(&spent), "{spent} requests for one weight");
        }
        Ok(())
    });
}

/// In virtual time computing takes none: what is left is waiting.
#[test]
fn between_an_api_change_and_the_kernel_nothing_waits() {
    in_guest(Guest::control_plane().virtual_time(), || -> anyhow::Result<()> {
        let latency = Wide::program(10, 3)?.measure(200)?;
        assert!(latency.p99 < Duration::from_millis(20), "{latency:?}");
        Ok(())
    });
}
