use super::*;
use lvs_crds::{DirectorGroupSpec, DirectorGroupStatus, Member};
use std::collections::BTreeSet;

/// A group of these directors whose virtual routers have the ids from 1.
fn group(names: &[String]) -> DirectorGroup {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let routers = (1..).zip(wanted(&names)).map(|(id, (home, number))| VirtualRouter {
        id,
        home: home.to_owned(),
        number,
    });
    let member = |node: &&str| Member {
        node: (*node).to_owned(),
        addresses: Vec::new(),
        macs: Vec::new(),
        mtu: None,
    };
    let mut group = DirectorGroup::new("g", DirectorGroupSpec::default());
    group.status = Some(DirectorGroupStatus {
        members: names.iter().map(member).collect(),
        virtual_routers: routers.collect(),
        ..DirectorGroupStatus::default()
    });
    group
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("lvs{number}")).collect()
}

const VIPS: u32 = 6_400;

/// Within five standard deviations of what chance gives.
fn is_fair(share: u32, fair: u32) -> bool {
    share.abs_diff(fair).pow(2) < 25 * fair
}

/// 192.0.x.y: neighbours, as VIPs mostly are.
fn vips(count: u32) -> impl Iterator<Item = Floating> {
    (0..count).map(|n| Floating::Vip(std::net::Ipv4Addr::from_bits(0xc000_0000 + n).into()))
}

/// Who carries what, with these directors out.
fn carriers(group: &DirectorGroup, out: &[&str], count: u32) -> Vec<String> {
    let spread = Spread::new(group).unwrap();
    let first = |router: &VirtualRouter| {
        let found = spread.order(router).into_iter().find(|node| !out.contains(node));
        (router.id, found.unwrap().to_owned())
    };
    let first: BTreeMap<i32, String> = spread.routers().iter().map(first).collect();
    vips(count).map(|floating| first[&spread.router_of(floating).unwrap().id].clone()).collect()
}

fn shares<'a>(carriers: impl Iterator<Item = &'a String>) -> BTreeMap<&'a str, u32> {
    let mut shares = BTreeMap::new();
    for carrier in carriers {
        *shares.entry(carrier.as_str()).or_default() += 1;
    }
    shares
}

#[test]
fn the_ids_of_32_directors_are_225_with_presence() {
    let count = |directors: usize| {
        let names = names(directors);
        wanted(&names.iter().map(String::as_str).collect::<Vec<_>>()).len()
    };
    assert_eq!([0, 1, 2, 3, 8, 9, 32].map(count), [0, 0, 2, 6, 56, 63, 224]);
}

/// An operator and agents of different builds have to agree: these values never change.
#[test]
fn every_build_spreads_alike() {
    let group = group(&names(3));
    let spread = Spread::new(&group).unwrap();
    let at = |text: &str| {
        let router = spread.router_of(Floating::Vip(text.parse().unwrap())).unwrap();
        format!("{} {} {}", router.home, router.number, spread.order(router).join(" "))
    };
    let gateway = spread.router_of(Floating::NatGateway).unwrap();
    assert_eq!(at("192.0.2.1"), "lvs3 1 lvs3 lvs2 lvs1");
    assert_eq!(at("192.0.2.2"), "lvs1 1 lvs1 lvs2 lvs3");
    assert_eq!(at("2001:db8::1"), "lvs2 1 lvs2 lvs3 lvs1");
    assert_eq!((gateway.home.as_str(), gateway.number), ("lvs1", 0));
    assert_eq!(hash(&["a", "b"]), 11_448_244_716_732_072_723);
}

#[test]
fn directors_carry_about_equal_shares() {
    for count in [2, 3, 8, 32] {
        let group = group(&names(count));
        let carriers = carriers(&group, &[], VIPS);
        let fair = VIPS / u32::try_from(count).unwrap();
        let shares = shares(carriers.iter());
        assert_eq!(shares.len(), count);
        for (node, share) in shares {
            assert!(is_fair(share, fair), "{count}: {node} has {share} of {fair}");
        }
    }
}

#[test]
fn a_loss_moves_only_what_the_lost_one_had_and_over_all_its_heirs() {
    for count in [2, 3, 8, 32_usize] {
        let names = names(count);
        let group = group(&names);
        let before = carriers(&group, &[], VIPS);
        let lost = names[count / 2].as_str();
        let after = carriers(&group, &[lost], VIPS);
        let pairs = || before.iter().zip(&after);
        assert!(pairs().all(|(before, after)| before == after || before == lost), "{count}");
        let moved = pairs().filter(|(before, _)| *before == lost).map(|(_, after)| after);
        let heirs = shares(moved);
        let expected = (count - 1).min(7);
        assert_eq!(heirs.len(), expected, "{count}: {heirs:?}");
        let fair = heirs.values().sum::<u32>() / u32::try_from(expected).unwrap();
        assert!(heirs.values().all(|share| is_fair(*share, fair)), "{count}: {heirs:?}");
        if count == 2 {
            continue;
        }
        let second = heirs.keys().next().unwrap();
        let worse = carriers(&group, &[lost, second], VIPS);
        let stay = after.iter().zip(&worse).all(|(after, worse)| after == worse || after == second);
        assert!(stay, "{count}");
    }
}

#[test]
fn a_director_that_joins_gets_its_share_and_moves_nothing_else() {
    for count in [2, 3, 7, 8, 31_usize] {
        let before = carriers(&group(&names(count)), &[], VIPS);
        let after = carriers(&group(&names(count + 1)), &[], VIPS);
        let new = names(count + 1).pop().unwrap();
        let moved: Vec<_> = before.iter().zip(&after).filter(|(b, a)| b != a).collect();
        assert!(moved.iter().all(|(_, after)| **after == new), "{count}");
        let fair = VIPS / u32::try_from(count + 1).unwrap();
        let share = u32::try_from(moved.len()).unwrap();
        assert!(is_fair(share, fair), "{count}: {share} of {fair}");
    }
}

#[test]
fn each_router_has_every_director_once_and_each_of_a_home_another_heir() {
    for count in 2..=32 {
        let names = names(count);
        let group = group(&names);
        let spread = Spread::new(&group).unwrap();
        let mut heirs = BTreeSet::new();
        for router in spread.routers() {
            let order = spread.order(router);
            assert_eq!(order[0], router.home);
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), count);
            assert!(heirs.insert((router.home.clone(), order[1])), "{count}: {router:?}");
        }
    }
}

#[test]
fn priorities_follow_the_order_and_who_is_ill_comes_after_all_who_are_well() {
    let well: Vec<u8> = (0..MAX_MEMBERS).map(|rank| priority(rank, true)).collect();
    let ill: Vec<u8> = (0..MAX_MEMBERS).map(|rank| priority(rank, false)).collect();
    let all: Vec<u8> = well.into_iter().chain(ill).collect();
    assert!(all.windows(2).all(|pair| pair[0] > pair[1]), "{all:?}");
    // 255 is the owner's and 0 that of one who leaves.
    assert_eq!((all[0], all[63]), (254, 1));
}

#[test]
fn a_home_without_a_router_is_home_to_nothing() {
    let mut group = group(&names(4));
    let status = group.status.as_mut().unwrap();
    status.virtual_routers.retain(|router| router.home != "lvs4");
    let carriers = carriers(&group, &[], 1_000);
    let shares = shares(carriers.iter());
    assert_eq!(shares.keys().copied().collect::<Vec<_>>(), ["lvs1", "lvs2", "lvs3"]);
}

#[test]
fn nothing_spreads_over_one_director_or_before_ids_are_known() {
    assert!(Spread::new(&group(&names(1))).is_none());
    let mut two = group(&names(2));
    two.status.as_mut().unwrap().virtual_routers.clear();
    assert!(Spread::new(&two).is_none());
    two.status = None;
    assert!(Spread::new(&two).is_none());
}
