//! What is said of a virtual router in the log, in text and in fields; pure.

use super::config::mac_text;
use lvs_resolve::spread::ILL_BELOW;
use lvs_vrrp::{Cause, Change, Heard, Held, Mac};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::Level;

/// How many addresses a line names.
const NAMED: usize = 8;

/// One line of the log, about a virtual router or a whole group.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Its name and its id.
    pub(super) router: Option<(String, u8)>,
    pub(super) what: What,
    /// The other directors that are heard.
    pub(super) peers: Vec<String>,
    /// What it is about.
    pub(super) addresses: BTreeSet<Held>,
    /// From the decision until the last address stood and was announced.
    pub(super) took: Option<Duration>,
    /// The same from the last advertisement of whoever carried it before.
    pub(super) since_heard: Option<Duration>,
}

/// What happened.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// It is carried here; so many of its addresses are not.
    TookOver { change: Change, priority: u8, lacking: usize },
    /// It is carried here no more. `ill`: what this director cannot do of it; `stay`: its addresses are here still.
    Changed { change: Change, priority: u8, ill: Option<String>, stay: bool },
    /// The group has it no more, or this director no part in it.
    Unwanted,
    /// It is carried here as before, and has more addresses.
    Added,
    /// It is carried here as before, without these.
    LetGo,
    /// Somebody else answers for these.
    Conflict { mac: Mac, member: Option<String> },
    /// Nobody does any more.
    ConflictOver,
}

impl Line {
    /// One word.
    pub(super) fn event(&self) -> &'static str {
        match &self.what {
            What::TookOver { .. } => "TookOver",
            What::Changed { change, .. } => match change {
                Change::TookOver { .. } => "TookOver",
                Change::GaveUp { .. } => "GaveUp",
                Change::Leaving => "Leaving",
                Change::HandedOver { to: Some(_) } => "HandedOver",
                Change::HandedOver { to: None } => "NotTaken",
                Change::Down(_) => "Down",
                Change::Stalled(_) => "Stalled",
            },
            What::Unwanted => "Unwanted",
            What::Added => "AddressesAdded",
            What::LetGo => "AddressesLetGo",
            What::Conflict { .. } => "Conflict",
            What::ConflictOver => "ConflictOver",
        }
    }

    /// Most virtual routers of a large group have no addresses: what becomes of those is for who looks closely.
    pub(super) fn level(&self) -> Level {
        let lacking = matches!(self.what, What::TookOver { lacking, .. } if lacking > 0);
        match self.is_warning() {
            _ if self.addresses.is_empty() && !lacking => Level::DEBUG,
            true => Level::WARN,
            false => Level::INFO,
        }
    }

    /// Somebody should look at it.
    fn is_warning(&self) -> bool {
        match &self.what {
            What::Conflict { .. } => true,
            What::TookOver { lacking, .. } => *lacking > 0,
            What::Changed { change, ill, .. } => {
                ill.is_some() || matches!(change, Change::Down(_) | Change::Stalled(_))
            }
            What::Unwanted | What::Added | What::LetGo | What::ConflictOver => false,
        }
    }

    /// Who or what is to blame.
    pub(super) fn reason(&self) -> String {
        match &self.what {
            What::TookOver { change, priority, .. } => why(change, *priority, true),
            What::Changed { change, priority, ill, stay } => {
                let mut text = why(change, *priority, *stay);
                if let Some(ill) = ill {
                    text += &format!("; this director cannot serve all of it: {ill}");
                }
                text
            }
            What::Unwanted => "this director has no part in it any more".to_owned(),
            What::Added => "they are new, or nobody else answers for them any more".to_owned(),
            What::LetGo => "they are not wanted here any more".to_owned(),
            What::Conflict { mac, member: None } => {
                format!("{} answers for them, which is none of the directors", mac_text(*mac))
            }
            What::Conflict { mac, member: Some(member) } => {
                format!("director {member} ({}) answers for them too", mac_text(*mac))
            }
            What::ConflictOver => "nobody else answers for them any more".to_owned(),
        }
    }

    /// The line as text.
    pub(super) fn message(&self) -> String {
        let router = self.router.as_ref().map_or("", |(name, _)| name.as_str());
        let verb = match &self.what {
            What::TookOver { lacking: 0, .. } => format!("took over {router}"),
            What::TookOver { lacking, .. } => {
                format!("took over {router}, but for {lacking} of its addresses")
            }
            What::Changed { change, .. } => match change {
                Change::TookOver { .. } => format!("took over {router}"),
                Change::GaveUp { .. } | Change::Down(_) => format!("gave up {router}"),
                Change::Leaving => format!("hands {router} over"),
                Change::HandedOver { to: Some(_) } => format!("handed {router} over"),
                Change::HandedOver { to: None } => format!("could not hand {router} over"),
                Change::Stalled(_) => format!("let go of {router}"),
            },
            What::Unwanted => format!("let go of {router}"),
            What::Added => format!("carries more addresses of {router}"),
            What::LetGo => format!("let go of addresses of {router}"),
            What::Conflict { .. } => "somebody else has addresses".to_owned(),
            What::ConflictOver => "addresses are nobody else's any more".to_owned(),
        };
        format!("{verb}: {}", self.reason())
    }

    /// The first of the addresses, and how many more there are.
    pub(super) fn addresses(&self) -> String {
        let named = |held: &Held| format!("{} on {}", held.address, held.interface);
        let mut all: Vec<String> = self.addresses.iter().take(NAMED).map(named).collect();
        if self.addresses.len() > NAMED {
            all.push(format!("and {} more", self.addresses.len() - NAMED));
        }
        all.join(", ")
    }
}

fn why(change: &Change, own: u8, stay: bool) -> String {
    let versus = |heard: &Heard| format!("(priority {own} against {})", heard.priority);
    match change {
        Change::TookOver { cause, from } => match (cause, from) {
            (Cause::Silence, Some(from)) => {
                format!("nothing heard of {} for {} ms", from.member, from.ago.as_millis())
            }
            (Cause::Silence, None) => "nobody was heard to carry it".to_owned(),
            (Cause::Yielded, Some(from)) => format!("{} gave it up", from.member),
            (Cause::Yielded, None) => "whoever carried it gave it up".to_owned(),
            (Cause::Preempted, Some(from)) if from.priority < ILL_BELOW && own >= ILL_BELOW => {
                format!("{} cannot serve all of it {}", from.member, versus(from))
            }
            (Cause::Preempted, Some(from)) => {
                format!("this director comes before {} {}", from.member, versus(from))
            }
            (Cause::Preempted, None) => "this director comes before whoever carried it".to_owned(),
        },
        Change::GaveUp { to } if to.priority == own => {
            format!("{} carries it too, and has the higher address", to.member)
        }
        Change::GaveUp { to } => {
            format!("{} carries it, and comes before this director {}", to.member, versus(to))
        }
        Change::Leaving => "the agent stops, or leaves the group".to_owned(),
        Change::HandedOver { to: Some(to) } => format!("{} carries it", to.member),
        Change::HandedOver { to: None } if stay => {
            "nobody took it; its addresses stay here, for ever".to_owned()
        }
        Change::HandedOver { to: None } => "nobody took it; its addresses are gone".to_owned(),
        Change::Down(why) => why.clone(),
        Change::Stalled(late) => {
            format!("the agent did not run for {} ms, so that others may have it", late.as_millis())
        }
    }
}

/// Writes it.
pub(super) fn write(group: &str, line: &Line) {
    let (event, message, reason) = (line.event(), line.message(), line.reason());
    let (router, vrid) = line.router.as_ref().map(|(name, id)| (name.as_str(), *id)).unzip();
    let (peers, addresses) = (line.peers.join(", "), line.addresses());
    let count = line.addresses.len();
    let took = line.took.map(millis);
    let since_heard = line.since_heard.map(millis);
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                group,
                router,
                vrid,
                event,
                reason,
                peers,
                addresses,
                count,
                decided_to_announced_ms = took,
                last_heard_to_announced_ms = since_heard,
                "{message}"
            )
        };
    }
    match line.level() {
        Level::WARN => say!(warn),
        Level::INFO => say!(info),
        _ => say!(debug),
    }
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(member: &str, priority: u8, ago: u64) -> Heard {
        Heard { member: member.to_owned(), priority, ago: Duration::from_millis(ago) }
    }

    fn line(what: What) -> Line {
        let router = Some(("lvs1/0".to_owned(), 7));
        let addresses = BTreeSet::new();
        Line { router, what, peers: Vec::new(), addresses, took: None, since_heard: None }
    }

    fn took(cause: Cause, from: Option<Heard>, lacking: usize) -> What {
        What::TookOver { change: Change::TookOver { cause, from }, priority: 250, lacking }
    }

    fn changed(change: Change) -> What {
        What::Changed { change, priority: 250, ill: None, stay: false }
    }

    #[test]
    fn what_happened_is_said_with_its_reason() {
        let silence = || took(Cause::Silence, Some(heard("lvs1", 254, 283)), 0);
        let cut = Change::Down("interface eth0 is down".to_owned());
        let ill = Some("cannot add 10.0.0.1/24 on eth0".to_owned());
        let relieved = Change::GaveUp { to: heard("lvs2", 254, 0) };
        let mac = [2, 0, 0, 0, 0, 9];
        for (what, event, warns, message) in [
            (silence(), "TookOver", false, "took over lvs1/0: nothing heard of lvs1 for 283 ms"),
            (
                took(Cause::Silence, None, 0),
                "TookOver",
                false,
                "took over lvs1/0: nobody was heard to carry it",
            ),
            (
                took(Cause::Silence, None, 2),
                "TookOver",
                true,
                "took over lvs1/0, but for 2 of its addresses: nobody was heard to carry it",
            ),
            (
                took(Cause::Yielded, Some(heard("lvs1", 0, 3)), 0),
                "TookOver",
                false,
                "took over lvs1/0: lvs1 gave it up",
            ),
            (
                took(Cause::Preempted, Some(heard("lvs2", 246, 3)), 0),
                "TookOver",
                false,
                "took over lvs1/0: this director comes before lvs2 (priority 250 against 246)",
            ),
            (
                took(Cause::Preempted, Some(heard("lvs2", 121, 3)), 0),
                "TookOver",
                false,
                "took over lvs1/0: lvs2 cannot serve all of it (priority 250 against 121)",
            ),
            (
                changed(relieved.clone()),
                "GaveUp",
                false,
                "gave up lvs1/0: lvs2 carries it, and comes before this director (priority 250 against 254)",
            ),
            (
                What::Changed { change: relieved, priority: 121, ill, stay: true },
                "GaveUp",
                true,
                "gave up lvs1/0: lvs2 carries it, and comes before this director (priority 121 against 254); this director \
                 cannot serve all of it: cannot add 10.0.0.1/24 on eth0",
            ),
            (
                changed(Change::GaveUp { to: heard("lvs2", 250, 0) }),
                "GaveUp",
                false,
                "gave up lvs1/0: lvs2 carries it too, and has the higher address",
            ),
            (
                changed(Change::Leaving),
                "Leaving",
                false,
                "hands lvs1/0 over: the agent stops, or leaves the group",
            ),
            (
                changed(Change::HandedOver { to: Some(heard("lvs2", 250, 0)) }),
                "HandedOver",
                false,
                "handed lvs1/0 over: lvs2 carries it",
            ),
            (
                changed(Change::HandedOver { to: None }),
                "NotTaken",
                false,
                "could not hand lvs1/0 over: nobody took it; its addresses are gone",
            ),
            (
                What::Changed {
                    change: Change::HandedOver { to: None },
                    priority: 250,
                    ill: None,
                    stay: true,
                },
                "NotTaken",
                false,
                "could not hand lvs1/0 over: nobody took it; its addresses stay here, for ever",
            ),
            (changed(cut), "Down", true, "gave up lvs1/0: interface eth0 is down"),
            (
                changed(Change::Stalled(Duration::from_millis(2100))),
                "Stalled",
                true,
                "let go of lvs1/0: the agent did not run for 2100 ms, so that others may have it",
            ),
            (
                What::Unwanted,
                "Unwanted",
                false,
                "let go of lvs1/0: this director has no part in it any more",
            ),
            (
                What::Added,
                "AddressesAdded",
                false,
                "carries more addresses of lvs1/0: they are new, or nobody else answers for them any more",
            ),
            (
                What::LetGo,
                "AddressesLetGo",
                false,
                "let go of addresses of lvs1/0: they are not wanted here any more",
            ),
            (
                What::Conflict { mac, member: None },
                "Conflict",
                true,
                "somebody else has addresses: 02:00:00:00:00:09 answers for them, which is none of the directors",
            ),
            (
                What::Conflict { mac, member: Some("lvs2".to_owned()) },
                "Conflict",
                true,
                "somebody else has addresses: director lvs2 (02:00:00:00:00:09) answers for them too",
            ),
            (
                What::ConflictOver,
                "ConflictOver",
                false,
                "addresses are nobody else's any more: nobody else answers for them any more",
            ),
        ] {
            let line = line(what);
            assert_eq!((line.event(), line.is_warning()), (event, warns), "{line:?}");
            assert_eq!(line.message(), message);
        }
    }

    #[test]
    fn a_thousand_addresses_are_named_by_the_first_and_their_number() {
        let mut line = line(What::Added);
        assert_eq!(line.level(), Level::DEBUG, "it is about nothing");
        let held = |host: u8| Held {
            interface: "eth0".to_owned(),
            address: format!("10.0.0.{host}/32").parse().unwrap(),
        };
        line.addresses = (1..=2).map(held).collect();
        assert_eq!(line.level(), Level::INFO);
        assert_eq!(line.addresses(), "10.0.0.1/32 on eth0, 10.0.0.2/32 on eth0");
        line.what = took(Cause::Silence, None, 1);
        assert_eq!(line.level(), Level::WARN);
        line.addresses = (1..=200).map(held).collect();
        assert!(
            line.addresses().ends_with("10.0.0.8/32 on eth0, and 192 more"),
            "{}",
            line.addresses()
        );
    }

    /// Standard error, as of a log in JSON.
    #[derive(Clone, Default)]
    struct Written(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_in_json_has_its_fields() {
        let written = Written::default();
        let writer = written.clone();
        let json = tracing_subscriber::fmt().json().flatten_event(true);
        let subscriber = json.with_writer(move || writer.clone()).finish();
        let mut said = line(took(Cause::Silence, Some(heard("lvs1", 254, 283)), 0));
        said.addresses =
            [Held { interface: "eth0".to_owned(), address: "10.0.0.1/32".parse().unwrap() }].into();
        said.peers = vec!["lvs2".to_owned(), "lvs3".to_owned()];
        said.took = Some(Duration::from_micros(2_500));
        said.since_heard = Some(Duration::from_micros(285_500));
        tracing::subscriber::with_default(subscriber, || write("default", &said));
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = serde_json::json!({
            "level": "INFO",
            "message": "took over lvs1/0: nothing heard of lvs1 for 283 ms",
            "reason": "nothing heard of lvs1 for 283 ms",
            "event": "TookOver",
            "group": "default",
            "router": "lvs1/0",
            "vrid": 7,
            "peers": "lvs2, lvs3",
            "addresses": "10.0.0.1/32 on eth0",
            "count": 1,
            "decided_to_announced_ms": 2.5,
            "last_heard_to_announced_ms": 285.5,
        });
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(json.get(name), Some(value), "{name} of {text}");
        }
    }
}
