use super::*;
use proptest::prelude::*;

fn claim() -> impl Strategy<Value = Claim> {
    let vip: IpAddr = [192, 0, 2, 1].into();
    let network = |(address, length)| IpNet::new(address, length).expect("a length").trunc();
    let network = ((0..4u8).prop_map(|last| [192, 0, 2, last].into()), 29..=32u8).prop_map(network);
    let passing = network.prop_map(|network| Place::Passing { group: "g".to_owned(), network });
    let place = prop_oneof![Just(Place::Vip(vip)), passing];
    let protocol = prop_oneof![Just(Protocol::TCP), Just(Protocol::UDP)];
    let ports = (place, protocol, 0..9i32, 0..9i32).prop_map(|(place, protocol, first, more)| {
        Claim::Ports { place, protocol, first, last: first + more }
    });
    prop_oneof![8 => ports, 1 => Just(Claim::Vip(vip)), 2 => (1..3i64).prop_map(Claim::Mark)]
}

proptest! {
    #[test]
    fn the_index_finds_what_overlaps(all in prop::collection::vec(claim(), 0..30), asked in claim()) {
        let mut index = Claims::default();
        for (number, claim) in all.iter().enumerate() {
            index.add(claim, number);
        }
        let mut found: Vec<usize> = index.overlapping(&asked).map(|(_, number)| *number).collect();
        found.sort_unstable();
        let expected: Vec<usize> =
            (0..all.len()).filter(|number| all[*number].overlaps(&asked)).collect();
        prop_assert_eq!(found, expected);
    }
}
