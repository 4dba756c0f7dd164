//! The oldest Kubernetes that is supported: its rules, its rights, and an installation. Everything else with it:
//! `BED_KUBERNETES=oldest make test`.

use std::time::Duration;

use lvs_tests::bed::Guest;

#[test]
fn every_case_gets_the_verdict_that_it_gets_from_the_rules_in_rust() {
    let guest = Guest::oldest_control_plane().virtual_time().limit(Duration::from_secs(600));
    super::api::every_case(guest);
}

#[test]
fn tokens_can_do_what_they_are_for_and_nothing_else() {
    super::rights::tokens(Guest::oldest_control_plane());
}

#[test]
fn an_installation_is_checked_given_back_and_taken_away() {
    super::installed::installation(Guest::oldest_control_plane());
}
