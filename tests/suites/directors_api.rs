//! Several directors in a cluster: what statuses say of them, and what clients notice while they die, leave, come back,
//! are changed and are told nonsense.

#[path = "directors_api/bad_input.rs"]
mod bad_input;
#[path = "directors_api/ill.rs"]
mod ill;
#[path = "directors_api/links.rs"]
mod links;
#[path = "directors_api/net.rs"]
mod net;
#[path = "directors_api/planned.rs"]
mod planned;
#[path = "directors_api/served.rs"]
mod served;
#[path = "directors_api/split.rs"]
mod split;
#[path = "directors_api/sync.rs"]
mod sync;
#[path = "directors_api/unplanned.rs"]
mod unplanned;

use std::time::Duration;

use lvs_tests::bed::{Guest, in_guest};
use net::Net;

fn guest() -> Guest {
    Guest::control_plane().virtual_time().limit(Duration::from_secs(600))
}

#[test]
fn directors_share_vips_die_and_are_changed_while_clients_are_served() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        println!("{}", net.cluster.kubectl("get lvs")?);
        unplanned::a_director_dies_and_comes_back_while_the_api_server_is_away(&mut net);
        net.all_is_well();
        planned::a_director_leaves_and_comes_back(&mut net);
        net.all_is_well();
        planned::an_agent_is_told_to_end(&mut net);
        net.all_is_well();
        planned::a_service_comes_and_goes(&mut net);
        planned::a_group_shrinks_to_one_and_grows_again(&mut net);
        net.all_is_well();
        planned::a_faster_profile_is_applied(&mut net);
        net.all_is_well();
        unplanned::a_fast_profile_takes_over_faster(&mut net);
        Ok(())
    });
}

#[test]
fn what_is_wrong_with_a_director_or_a_group_is_told_and_disturbs_nobody_else() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        served::a_path_that_is_broken_is_told_and_taken_back(&mut net);
        net.all_is_well();
        ill::a_director_that_cannot_program_a_service_stands_back(&mut net);
        net.all_is_well();
        ill::a_director_whose_interface_is_down_stands_back(&mut net);
        net.all_is_well();
        ill::a_director_without_the_interface_of_a_network_stands_back(&mut net);
        net.all_is_well();
        bad_input::intervals_out_of_range_are_refused(&net);
        bad_input::a_group_of_no_node_says_so(&mut net);
        bad_input::a_gateway_outside_every_subnet_is_told(&mut net);
        bad_input::groups_do_not_share_a_vip(&mut net);
        bad_input::groups_do_not_share_ids(&mut net);
        net.all_is_well();
        Ok(())
    });
}

#[test]
fn interfaces_of_a_director_come_go_and_change_and_no_vip_moves() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        links::pods_come_and_go_and_nobody_announces_anything(&mut net);
        links::another_mac_address_of_a_director_is_known_to_the_others(&mut net);
        net.all_is_well();
        Ok(())
    });
}

#[test]
fn a_virtual_router_moves_to_another_id_when_a_stranger_uses_its_own() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        bad_input::a_strangers_id_is_told_and_avoided(&mut net);
        Ok(())
    });
}

#[test]
fn connection_sync_that_cannot_be_had_is_told_and_moves_nothing() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        sync::what_cannot_be_had_is_told(&mut net);
        sync::the_older_of_two_groups_has_the_say(&mut net);
        Ok(())
    });
}

#[test]
fn directors_that_do_not_hear_each_other_are_told_of() {
    in_guest(guest(), || -> anyhow::Result<()> {
        let mut net = Net::start("failover: {preemptDelaySeconds: 2}");
        net.all_is_well();
        split::what_several_carry_at_once_is_told_with_its_cause(&mut net);
        Ok(())
    });
}
