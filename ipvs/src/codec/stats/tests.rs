use super::*;

fn counters(first: Counter) -> Vec<StatsAttr> {
    StatsField::ALL
        .into_iter()
        .enumerate()
        .map(|(at, field)| match at {
            0 => StatsAttr::Counter(field, first),
            _ => StatsAttr::Counter(field, Counter::Wide(at as u64 + 100)),
        })
        .collect()
}

#[test]
fn each_counter_has_its_place() {
    let stats = read_stats(Some(&counters(Counter::Wide(100))), None);
    let Stats {
        connections,
        in_packets,
        out_packets,
        in_bytes,
        out_bytes,
        connection_rate,
        in_packet_rate,
        out_packet_rate,
        in_byte_rate,
        out_byte_rate,
    } = stats;
    assert_eq!(
        [connections, in_packets, out_packets, in_bytes, out_bytes],
        [100, 101, 102, 103, 104]
    );
    assert_eq!(
        [connection_rate, in_packet_rate, out_packet_rate, in_byte_rate, out_byte_rate],
        [105, 106, 107, 108, 109]
    );
}

#[test]
fn wide_counters_count_where_narrow_ones_have_wrapped() {
    let wide = counters(Counter::Wide(1 << 32));
    let narrow = counters(Counter::Narrow(0));
    assert_eq!(read_stats(Some(&wide), Some(&narrow)).connections, 1 << 32);
}

#[test]
fn narrow_counters_count_where_there_are_no_others() {
    assert_eq!(read_stats(None, Some(&counters(Counter::Narrow(7)))).connections, 7);
    assert_eq!(read_stats(None, None), Stats::default());
}
