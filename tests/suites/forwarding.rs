//! Every way to a real server, by packets through the whole product: an agent on each machine, all with the same
//! manifests. Clients elsewhere, and clients on the machines themselves.

#[path = "forwarding/clients.rs"]
mod clients;
#[path = "forwarding/masquerade.rs"]
mod masquerade;
#[path = "forwarding/mixed.rs"]
mod mixed;
#[path = "forwarding/modules.rs"]
mod modules;
#[path = "forwarding/tunnels.rs"]
mod tunnels;
#[path = "forwarding/world.rs"]
mod world;
