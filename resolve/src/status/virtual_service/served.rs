//! What a client meets, by the word of those that ask as clients do.

use super::{View, ports};
use crate::listing::listing;
use crate::place::version;
use crate::probers::{Probers, Question, questions};
use crate::{Verdict, reason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use lvs_crds::{CANNOT_ASK, Probes, SERVED, Truth, Unanswered};
use std::collections::BTreeSet;

/// What one prober says of one question.
enum Word {
    Answered(Option<i64>),
    NotAnswered {
        reason: String,
        message: String,
    },
    /// It has not asked yet.
    NotYet,
    /// It says nothing of it, and why.
    Nothing(String),
}

/// What is known of the questions of one VirtualService.
#[derive(Default)]
struct Evidence<'a> {
    /// Whoever was answered, and how fast.
    answered: BTreeSet<(&'a str, Option<i64>)>,
    /// (reason, text) of what was not answered, in the order of the questions.
    failed: Vec<(String, String)>,
    /// What one was answered and another not.
    disputed: Vec<String>,
    awaited: BTreeSet<&'a str>,
    /// Why some questions are not asked.
    excuses: BTreeSet<String>,
}

impl View<'_> {
    pub(super) fn evidence(&self) -> Verdict {
        let verdict = self.asked();
        match (verdict.status, self.counted()) {
            (Truth::Unknown, Some((reason, text))) => Verdict::no(reason, text),
            (Truth::False, Some((_, text))) => {
                Verdict { message: format!("{}; {text}", verdict.message), ..verdict }
            }
            _ => verdict,
        }
    }

    /// Where clients' own packets stop, by what a director that carries the VIPs counts.
    fn counted(&self) -> Option<(&str, String)> {
        let told = |node: &&str| {
            let mut warnings = self.warnings(node).filter(|_| !self.snapshot.is_silent(node));
            let it = warnings.find(|it| reason::STOPS.contains(&it.reason.as_str()))?;
            Some((it.reason.as_str(), format!("on {node} {}", it.message)))
        };
        self.active.nodes.iter().find_map(told)
    }

    fn asked(&self) -> Verdict {
        if self.slices.is_empty() {
            return Verdict::unknown(reason::PENDING, "Nothing is programmed yet.");
        }
        let group = &self.resolution.director_group;
        let Some(object) = self.snapshot.director_group(group) else {
            let text = format!("There is no DirectorGroup {group}");
            return Verdict::unknown(reason::NO_SUCH_DIRECTOR_GROUP, text);
        };
        let servers = self.slices.iter().flat_map(|slice| &slice.spec.real_servers);
        let probers = Probers::of(object, servers);
        let services = self.slices.first().map(|slice| slice.spec.services.as_slice());
        let (mut all, mut unasked) = (Vec::new(), Vec::new());
        for service in services.unwrap_or_default() {
            let (asked, not) = questions(service);
            all.extend(asked);
            unasked
                .extend(not.into_iter().filter(|text| !unasked.contains(text)).collect::<Vec<_>>());
        }
        if all.is_empty() {
            let text = format!("Nobody asks: {}", listing(&unasked, 4));
            return Verdict::unknown(reason::NOT_ASKABLE, text);
        }
        let mut evidence = Evidence::default();
        for question in &all {
            self.hear(question, &probers, &mut evidence);
        }
        self.verdict(&evidence, &unasked)
    }

    /// Takes in what everybody who is to ask a question says.
    fn hear<'a>(&'a self, question: &Question, probers: &Probers<'a>, evidence: &mut Evidence<'a>) {
        if let Some(excuse) = probers.excuse {
            evidence.excuses.insert(excuse.to_owned());
            return;
        }
        let carrier = self.active.carrier(question.address);
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        for node in probers.asking(question).into_iter().filter(|node| Some(*node) != carrier) {
            match self.word(node, question) {
                Word::Answered(microseconds) => yes.push((node, microseconds)),
                Word::NotAnswered { reason, message } => no.push((node, reason, message)),
                Word::NotYet => drop(evidence.awaited.insert(node)),
                Word::Nothing(why) => drop(evidence.excuses.insert(why)),
            }
        }
        // By name: the order in which they are asked is another for each question.
        yes.sort();
        no.sort();
        match (yes.first(), no.first()) {
            (Some((one, _)), Some((other, _, message))) => {
                evidence.disputed.push(format!(
                    "{one} was answered at {question}, and {other} was not: {message}"
                ));
            }
            (None, Some((_, reason, message))) => {
                let nodes: Vec<&str> = no.iter().map(|(node, ..)| *node).collect();
                let verb = if nodes.len() == 1 { "was" } else { "were" };
                let text =
                    format!("{} {verb} not served at {question}: {message}", nodes.join(" and "));
                evidence.failed.push((reason.clone(), text));
            }
            _ => evidence.answered.extend(yes),
        }
    }

    fn word(&self, node: &str, question: &Question) -> Word {
        if !self.snapshot.sees(node) {
            return Word::Nothing(format!("what {node} meets, its own status file tells"));
        }
        let report = self.snapshot.lvs_node(node).and_then(|n| n.status.as_ref());
        let Some(report) = report.filter(|_| !self.snapshot.is_silent(node)) else {
            return Word::Nothing(format!("the agent of node {node} does not report"));
        };
        let group = &self.resolution.director_group;
        let Some(probes) = report.probes.iter().find(|probes| probes.group == *group) else {
            return Word::NotYet;
        };
        let newest = self.slices.iter().map(|slice| version(&slice.metadata)).max().unwrap_or(0);
        said(probes, question, newest)
    }

    fn verdict(&self, evidence: &Evidence<'_>, unasked: &[String]) -> Verdict {
        if let Some((reason, first)) = evidence.failed.first() {
            let text = match evidence.failed.len().saturating_sub(1) {
                0 => first.clone(),
                more => format!("{first}; and {more} more"),
            };
            return Verdict::no(reason, text);
        }
        if let Some(text) = evidence.disputed.first() {
            return Verdict::unknown(reason::PROBERS_DISAGREE, text);
        }
        if !evidence.awaited.is_empty() && evidence.answered.is_empty() {
            // Over an edit of something else it is as it was.
            if let Some(was) = self.was_served() {
                return Verdict::yes(&was.reason, &was.message);
            }
            let nodes: Vec<String> =
                evidence.awaited.iter().map(|node| (*node).to_owned()).collect();
            let text = format!("Awaits what {} meets", listing(&nodes, 4));
            return Verdict::unknown(reason::PENDING, text);
        }
        if evidence.answered.is_empty() {
            let excuses: Vec<String> = evidence.excuses.iter().cloned().collect();
            let text = format!("Nobody can ask: {}", listing(&excuses, 4));
            return Verdict::unknown(reason::NOBODY_ASKS, text);
        }
        let mut texts: Vec<String> = Vec::new();
        for (node, microseconds) in &evidence.answered {
            let text = match microseconds {
                Some(took) => format!("{node} was answered in {}", milliseconds(*took)),
                None => format!("{node} was answered"),
            };
            texts.push(text);
        }
        let mut text = listing(&texts, 4);
        if !unasked.is_empty() {
            text = format!("{text}; not asked: {}", listing(unasked, 4));
        }
        Verdict::yes(reason::SERVED, text)
    }

    /// The condition as it was, if it was True of the same VIPs and ports.
    fn was_served(&self) -> Option<&Condition> {
        let status = self.vs.status.as_ref()?;
        let same = status.display.as_ref().is_some_and(|d| d.ports == ports(self.vs))
            && self.addresses.iter().all(|a| status.addresses.contains(a));
        let mut conditions = status.conditions.iter().filter(|_| same);
        conditions.find(|c| c.type_ == SERVED && c.status == "True")
    }
}

fn said(probes: &Probes, question: &Question, newest: u64) -> Word {
    let address = question.address.to_string();
    let port = format!("TCP/{}", question.port);
    let mine = |it: &&Unanswered| {
        it.address == address && it.port.as_ref().is_none_or(|named| *named == port)
    };
    if let Some(it) = probes.unanswered.iter().find(mine) {
        return match it.reason == CANNOT_ASK {
            true => Word::Nothing(it.message.clone()),
            false => Word::NotAnswered { reason: it.reason.clone(), message: it.message.clone() },
        };
    }
    if probes.services > 0 && probes.unanswered_count >= probes.services {
        let message = format!("none of all {} services that it asks answers", probes.services);
        return Word::NotAnswered { reason: reason::NO_ANSWER.to_owned(), message };
    }
    if probes.unlisted > 0 {
        let text = format!(
            "{} services were not answered, of which {} are not listed; this may be one of them",
            probes.unanswered_count, probes.unlisted
        );
        return Word::Nothing(text);
    }
    let asked = probes.resource_version.as_ref().and_then(|it| it.parse::<u64>().ok());
    match asked {
        Some(asked) if asked >= newest => Word::Answered(probes.microseconds),
        _ => Word::NotYet,
    }
}

fn milliseconds(microseconds: i64) -> String {
    if microseconds < 100 {
        return "less than 0.1 ms".to_owned();
    }
    let tenths = microseconds.saturating_add(50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
