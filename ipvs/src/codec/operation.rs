//! Operations as messages.

use super::{
    Command, IpvsAttr, IpvsMessage, daemon_attrs, destination_attrs, destination_key_attrs,
    service_attrs, service_key_attrs,
};
use crate::constants::NAME_LEN;
use crate::model::{Daemon, Service};
use crate::{InvalidField, Operation};

impl TryFrom<&Operation> for IpvsMessage {
    type Error = InvalidField;

    fn try_from(operation: &Operation) -> Result<Self, InvalidField> {
        let (command, attrs) = match operation {
            Operation::NewService(service) => (Command::NewService, of_service(service)?),
            Operation::SetService(service) => (Command::SetService, of_service(service)?),
            Operation::DelService(key) => (Command::DelService, of_key(key)),
            Operation::NewDestination { service, destination } => {
                let destination = IpvsAttr::Destination(destination_attrs(destination));
                (Command::NewDestination, with(of_key(service), destination))
            }
            Operation::SetDestination { service, destination } => {
                let destination = IpvsAttr::Destination(destination_attrs(destination));
                (Command::SetDestination, with(of_key(service), destination))
            }
            Operation::DelDestination { service, destination } => {
                let destination = IpvsAttr::Destination(destination_key_attrs(destination));
                (Command::DelDestination, with(of_key(service), destination))
            }
            Operation::NewDaemon(daemon) => {
                check_daemon(daemon)?;
                (Command::NewDaemon, vec![IpvsAttr::Daemon(daemon_attrs(daemon))])
            }
            Operation::DelDaemon(state) => {
                let state = super::DaemonAttr::State(state.number());
                (Command::DelDaemon, vec![IpvsAttr::Daemon(vec![state])])
            }
            Operation::SetTimeouts(timeouts) => (
                Command::SetConfig,
                vec![
                    IpvsAttr::TimeoutTcp(timeouts.tcp),
                    IpvsAttr::TimeoutTcpFin(timeouts.tcp_fin),
                    IpvsAttr::TimeoutUdp(timeouts.udp),
                ],
            ),
            Operation::ZeroService(key) => (Command::Zero, of_key(key)),
            Operation::ZeroAll => (Command::Zero, Vec::new()),
        };
        Ok(Self { command, attrs })
    }
}

fn of_key(key: &crate::model::ServiceKey) -> Vec<IpvsAttr> {
    vec![IpvsAttr::Service(service_key_attrs(key))]
}

fn with(mut attrs: Vec<IpvsAttr>, attr: IpvsAttr) -> Vec<IpvsAttr> {
    attrs.push(attr);
    attrs
}

fn of_service(service: &Service) -> Result<Vec<IpvsAttr>, InvalidField> {
    if !fits(&service.scheduler) {
        return Err(InvalidField::Scheduler);
    }
    if service.pe_name.as_ref().is_some_and(|name| !fits(name)) {
        return Err(InvalidField::PersistenceEngine);
    }
    if service.netmask.family() != service.key.family() {
        return Err(InvalidField::Netmask);
    }
    Ok(vec![IpvsAttr::Service(service_attrs(service))])
}

fn check_daemon(daemon: &Daemon) -> Result<(), InvalidField> {
    if fits(&daemon.interface) { Ok(()) } else { Err(InvalidField::Interface) }
}

/// Whether the kernel's policy takes it as a name: it, and its NUL.
fn fits(name: &str) -> bool {
    (1..NAME_LEN).contains(&name.len()) && !name.contains('\0')
}
