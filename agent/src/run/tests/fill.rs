//! Connections in the report.

use super::*;
use crate::message::Published;

fn published(engine: &Engine<Fake>) -> Published {
    Published { status: engine.status(), synced: true, ready: true }
}

#[test]
fn an_audit_counts_connections_and_the_number_alone_is_no_news() {
    let (mut engine, _dir) = started();
    engine.take(with_group(news(&[web(7, 5)]), group("d")));
    engine.step(T0);
    let mut told = published(&engine);
    engine.kernel.connections = 1_234;
    engine.audit(T0);
    assert!(!told.replace(published(&engine)));
    assert_eq!(told.status.table.as_ref().unwrap().connections, 1_234);
    assert_eq!(told.status.warnings, []);

    engine.kernel.connections = 100_000;
    engine.audit(T0);
    assert!(told.replace(published(&engine)), "long chains are news");
    assert_eq!(told.status.warnings[0].reason, "LongConnectionChains");
    engine.kernel.connections = 100_001;
    engine.audit(T0);
    assert!(!told.replace(published(&engine)));
    assert_eq!(told.status.table.as_ref().unwrap().connections, 100_001);
}
