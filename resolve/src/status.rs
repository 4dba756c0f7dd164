//! Statuses: what an admin reads.

mod director;
mod director_group;
mod reach;
mod ready;
mod real_server;
mod virtual_service;

pub(crate) use director::settled;
pub use director_group::director_group_status;
pub use real_server::{RealServerReport, real_server_status};
pub use virtual_service::virtual_service_status;

use crate::{Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lvs_crds::set_condition;

/// Degraded, by all that needs attention; the first problem gives the reason.
fn attention(problems: &[(&str, String)]) -> Verdict {
    let Some((first, _)) = problems.first() else {
        return Verdict::no(reason::AS_EXPECTED, "Nothing needs attention.");
    };
    let more = match problems.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" And {more} more."),
    };
    let shown: Vec<&str> = problems.iter().take(3).map(|(_, text)| text.as_str()).collect();
    Verdict::yes(first, format!("{}.{more}", shown.join(". ")))
}

fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    verdict: &Verdict,
    generation: Option<i64>,
    now: &Time,
) {
    let Verdict { status, reason, message } = verdict;
    set_condition(conditions, type_, *status, reason, message, generation, now);
}
