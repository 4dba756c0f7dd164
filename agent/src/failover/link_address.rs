//! `sockaddr_ll`, the address of a packet(7) socket. Neither socket2 nor nix has a safe way to make one.
#![allow(unsafe_code)]

use nix::libc::{AF_PACKET, c_int, sa_family_t, sockaddr_ll};
use socket2::{SockAddr, SockAddrStorage};
use std::mem::size_of;

/// Frames of one EtherType on one interface. An index that no interface has is an error of the call that is given it.
pub(crate) fn link_address(interface: u32, ether_type: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is zeroed, which is a valid sockaddr_ll, and large and aligned enough for every sockaddr.
    let address = unsafe { storage.view_as::<sockaddr_ll>() };
    // Small constants of the platform: both casts keep their values.
    address.sll_family = AF_PACKET as sa_family_t;
    address.sll_protocol = ether_type.to_be();
    address.sll_ifindex = c_int::try_from(interface).unwrap_or(c_int::MAX);
    // SAFETY: the storage holds a sockaddr_ll, says so by its family, and the length is that of it.
    unsafe { SockAddr::new(storage, size_of::<sockaddr_ll>() as u32) }
}
