//! Ready: one word for tools that know no other of ours (kstatus, and by it Flux and helm; `kubectl wait`). By kstatus an object
//! whose Ready is not True is on its way, and one that has no Ready is taken for done.

use crate::{Verdict, reason};

/// Of a VirtualService: the spec is accepted, what it means stands where the VIPs are, and clients are served. A director that
/// stands by and cannot be programmed is told by Programmed, and takes nothing away from that.
pub(super) fn of_service(accepted: &Verdict, programmed: &Verdict, available: &Verdict) -> Verdict {
    let on_its_way = !programmed.is_true() && programmed.reason == reason::PENDING;
    for verdict in [accepted, available] {
        if !verdict.is_true() {
            return verdict.clone();
        }
    }
    if on_its_way {
        return programmed.clone();
    }
    Verdict::yes(reason::READY, &available.message)
}

/// Of a RealServer: it can be used by whoever selects it.
pub(super) fn of_server(resolved: &Verdict) -> Verdict {
    match resolved.is_true() {
        true => Verdict::yes(reason::READY, &resolved.message),
        false => resolved.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_it_is_accepted_and_serves_what_was_last_written() {
        let yes = Verdict::yes("Good", "good");
        let no = |reason: &'static str| Verdict::no(reason, reason);
        for (accepted, programmed, available, expected) in [
            (&yes, &yes, &yes, (true, "Ready")),
            (&no("AddressConflict"), &no("NotAccepted"), &yes, (false, "AddressConflict")),
            (&yes, &no(reason::PENDING), &yes, (false, reason::PENDING)),
            (&yes, &no(reason::AGENT_SILENT), &yes, (true, "Ready")),
            (&yes, &no(reason::NOT_PROGRAMMED), &yes, (true, "Ready")),
            (&yes, &yes, &no("NoRealServers"), (false, "NoRealServers")),
            (&yes, &no(reason::PENDING), &no("NoRealServers"), (false, "NoRealServers")),
        ] {
            let found = of_service(accepted, programmed, available);
            assert_eq!((found.is_true(), found.reason.as_str()), expected);
        }
    }
}
