//! Tunnel devices made and removed.

use super::{Change, FixtureError, Tunnels, all, device, errno, failed, no_module};
use crate::kernel::ports::Direction;
use crate::state::TunnelDevice;
use lvs_ipvs::Errno;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use std::io;
use std::net::IpAddr;

impl Tunnels {
    pub(super) fn change_devices(
        &mut self,
        changes: &[Change<(TunnelDevice, IpAddr)>],
        settle: &mut impl FnMut(usize, Result<(), FixtureError>),
    ) {
        let mut seen = match self.links() {
            Ok(links) => device::seen(&links),
            Err(error) => return all(changes, "list the links", settle, &error),
        };
        let (mut requests, mut asked, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        for &(place, direction, (device, local)) in changes {
            let name = device::name(device, local);
            let known = seen.get(&name).cloned();
            let ours = known.as_ref().is_some_and(|it| it.endpoint == Some((device, local)));
            match (direction, known) {
                (Direction::Remove, Some(known)) if ours => {
                    seen.remove(&name);
                    let removal = device::removal(known.index);
                    requests.push((RouteNetlinkMessage::DelLink(removal), 0));
                    asked.push((place, direction, (device, local)));
                }
                (Direction::Remove, _) => {}
                (Direction::Add, Some(known)) if ours && known.ready => {}
                (Direction::Add, Some(_)) if ours => fresh.push((place, name)),
                (Direction::Add, Some(_)) => settle(place, Err(in_the_way(&name))),
                (Direction::Add, None) => match device::creation(device, local) {
                    Some(message) => {
                        let flags = NLM_F_CREATE | NLM_F_EXCL;
                        requests.push((RouteNetlinkMessage::NewLink(message), flags));
                        asked.push((place, direction, (device, local)));
                    }
                    None => {
                        let error = io::Error::from_raw_os_error(Errno::EAFNOSUPPORT.0);
                        settle(place, Err(failed(format!("create the link {name}"), error)));
                    }
                },
            }
        }
        let results = self.send(requests);
        for ((place, direction, (device, local)), result) in asked.into_iter().zip(results) {
            let name = device::name(device, local);
            match (direction, result.map_err(|error| (errno(&error), error))) {
                (Direction::Add, Ok(())) => fresh.push((place, name)),
                (Direction::Add, Err((Some(Errno::EOPNOTSUPP), _))) => {
                    settle(place, Err(no_module(device::module(device))));
                }
                (Direction::Add, Err((Some(Errno::EEXIST), _))) => {
                    let rival = seen.iter().find(|(_, seen)| {
                        seen.endpoint.is_some_and(|other| rivals(other, (device, local)))
                    });
                    settle(place, Err(in_the_way(rival.map_or(&name, |(rival, _)| rival))));
                }
                (Direction::Add, Err((_, error))) => {
                    settle(place, Err(failed(format!("create the link {name}"), error)));
                }
                (Direction::Remove, Ok(()) | Err((Some(Errno::ENODEV), _))) => {}
                (Direction::Remove, Err((_, error))) => {
                    settle(place, Err(failed(format!("delete the link {name}"), error)));
                }
            }
        }
        self.prepare(fresh, settle);
    }

    /// Makes new devices ready.
    fn prepare(
        &mut self,
        fresh: Vec<(usize, String)>,
        settle: &mut impl FnMut(usize, Result<(), FixtureError>),
    ) {
        if fresh.is_empty() {
            return;
        }
        // An address is given by number, which the kernel has chosen just now.
        let seen = self.links().map(|links| device::seen(&links)).unwrap_or_default();
        let mut requests = Vec::new();
        for (_, name) in &fresh {
            let index = seen.get(name).map_or(0, |known| known.index);
            let [quiet, loose, up] = device::preparation(name);
            requests.push((RouteNetlinkMessage::SetLink(quiet), 0));
            let create = NLM_F_CREATE | NLM_F_EXCL;
            requests.push((RouteNetlinkMessage::NewAddress(device::address(index)), create));
            requests.push((RouteNetlinkMessage::SetLink(loose), 0));
            requests.push((RouteNetlinkMessage::SetLink(up), 0));
        }
        let mut results = self.send(requests).into_iter();
        for (place, name) in fresh {
            let _quiet = results.next();
            let done = |result: &io::Result<()>| match result {
                Ok(()) => true,
                Err(error) => errno(error) == Some(Errno::EEXIST),
            };
            let rest: Vec<_> = results.by_ref().take(3).collect();
            if let Some(Err(error)) = rest.into_iter().find(|result| !done(result)) {
                // Not a refusal: the link stands, and has to stay in the journal.
                let operation = format!("set up the link {name}");
                settle(place, Err(FixtureError::Io { operation, source: error }));
            }
        }
    }

    pub(super) fn links(&mut self) -> io::Result<Vec<LinkMessage>> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.route()?.gather(&request, &mut |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
    }
}

/// Whether the kernel lets only one of two devices stand: same kind (`ip_tunnel_find` knows no checksum), same address.
fn rivals(one: (TunnelDevice, IpAddr), other: (TunnelDevice, IpAddr)) -> bool {
    one.1 == other.1 && one.0.as_str() == other.0.as_str()
}

fn in_the_way(link: &str) -> FixtureError {
    FixtureError::Foreign { what: format!("the link {link}"), shown_by: shown_by(link) }
}

pub(super) fn shown_by(link: &str) -> String {
    format!("ip -d link show dev {link}")
}
