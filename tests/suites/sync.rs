//! IPVS's sync daemons: they stand on every director of several, are given back, and what they tell of arrives: TCP
//! connections and persistence templates, of each forwarding method and family.

#[path = "sync/connections.rs"]
mod connections;
#[path = "sync/daemons.rs"]
mod daemons;
#[path = "sync/table.rs"]
mod table;
