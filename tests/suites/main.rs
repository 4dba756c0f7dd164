//! All suites, in one program: it is linked once, and two tests run side by side until the last.
//!
//! `cargo test -p lvs-tests --test suites NAME::` runs one suite.

mod agent;
mod api;
mod bad_input;
mod bed;
mod changes;
mod chart;
mod cluster;
mod colocated;
mod connections;
mod cost;
mod demo;
mod directors_api;
mod documents;
mod dr;
mod failover;
mod firewall_marks;
mod firewalls;
mod fixtures;
mod forwarding;
mod ftp;
mod histories;
mod house;
mod installed;
mod ipvs_live;
mod kernel;
mod lone;
mod marks_api;
mod nat;
mod nftables;
mod oldest;
mod operator;
mod persistence;
mod prepare;
mod protocols;
mod restored;
mod rights;
mod schedulers;
mod served;
mod settings;
mod standalone;
mod sync;
mod tunnels;
mod vrrp;
mod weights;
