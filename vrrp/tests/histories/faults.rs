//! What goes wrong, or is changed.

use crate::check::{Check, Planned};
use crate::link::Link;
use lvs_vrrp::Event;
use std::time::Duration;

/// The most directors that a history comes to.
const MOST: usize = 9;

/// Something happens to somebody.
pub fn one(link: &mut Link, check: &mut Check) {
    let number = link.chance.below(link.directors.len());
    let settled = Check::settled(link);
    let alone =
        !link.directors.iter().any(|other| other.number != number && other.works() && other.up);
    let what = link.chance.below(21);
    let room = link.directors.len() < MOST;
    link.disturbed = link.now;
    link.changed = true;
    let director = &mut link.directors[number];
    let lives = director.group.as_ref().is_some_and(|group| !group.report().live.is_empty());
    let runs = director.group.is_some();
    let (mut handed_over, mut renumbered) = (false, false);
    let mut goes = false;
    match what {
        0..=3 if runs => {
            link.say(|| format!("node{number} is killed"));
            let director = &mut link.directors[number];
            director.group = None;
            director.died = lives.then_some(link.now);
            director.stopping = None;
            director.frozen = false;
            goes = true;
        }
        0..=5 if !runs => {
            director.died = None;
            link.start(number);
        }
        4 | 5 if !director.frozen => {
            link.say(|| format!("node{number} freezes"));
            let director = &mut link.directors[number];
            director.frozen = true;
            director.died = lives.then_some(link.now);
            goes = true;
        }
        4..=5 if director.frozen => {
            director.died = None;
            link.say(|| format!("node{number} thaws"));
            link.thaw(number);
        }
        6..=8 => {
            // Never from one partition to another: the client would change its friends unnoticed.
            let two = link.parts.iter().all(|part| *part == 0);
            let mut draw = |_| if two { link.chance.below(2) } else { 0 };
            let parts: Vec<_> = (0..link.parts.len()).map(&mut draw).collect();
            link.say(|| format!("parts: {parts:?}"));
            link.rearrange(parts);
        }
        9 | 10 => {
            director.up = !director.up;
            goes = !director.up;
            if director.up {
                link.plug(number);
            }
            link.say(|| format!("node{number} is plugged in or out"));
            link.doubt();
            link.meet();
            link.notice(number);
        }
        11 => link.slowest = Duration::from_millis(link.chance.pick(&[0, 0, 10, 50])),
        12 | 13 if runs && !director.frozen => {
            director.stopping = Some(link.now);
            handed_over = !alone && director.up;
            goes = true;
            link.say(|| format!("node{number} is stopped"));
            link.handle(number, Event::Stop);
        }
        14 if room => {
            link.truth.members.insert(link.directors.len());
            link.publish();
            link.add_director(link.directors.len());
        }
        15 if link.truth.members.len() > 2 => {
            let members: Vec<_> = link.truth.members.iter().copied().collect();
            let gone = link.chance.pick(&members);
            link.truth.members.remove(&gone);
            link.publish();
        }
        16 => {
            let new = link.truth.vips.last().map_or(0, |last| last + 1);
            link.truth.vips.insert(new);
            link.publish();
        }
        17 if link.truth.vips.len() > 1 => {
            let vips: Vec<_> = link.truth.vips.iter().copied().collect();
            let gone = link.chance.pick(&vips);
            link.truth.vips.remove(&gone);
            link.publish();
        }
        18 if link.truth.numbered < 3 => {
            link.truth.numbered += 1;
            link.truth.ids.clear();
            link.publish();
            renumbered = true;
        }
        _ => {
            director.ill = !director.ill;
            link.say(|| format!("node{number} falls ill or gets well"));
            link.notice(number);
        }
    }
    check.planned = settled.filter(|_| goes || renumbered).map(|before| Planned {
        who: (!renumbered).then_some(number),
        since: link.now,
        handed_over,
        before,
        disturbed: link.disturbed,
    });
}
