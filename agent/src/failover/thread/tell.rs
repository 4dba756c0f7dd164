//! Telling what became of it, after acting.

use super::{Published, Thread, now};
use crate::failover::Report;
use crate::failover::carried::Running;
use crate::failover::chronicle::Chronicle;
use crate::failover::figures::Figures;
use std::mem;
use std::sync::PoisonError;

impl Thread {
    pub(super) fn tell(&mut self) {
        let mut news = mem::take(&mut self.news);
        for running in self.groups.values_mut().filter_map(|carried| carried.running.as_mut()) {
            news |= Running::has_news(running);
        }
        let figures = self.figures();
        // A take-over is told as a whole.
        self.news = news && !self.io.backlog.is_empty();
        let report = (news && !self.news).then(|| self.report());
        if report.is_some() {
            for (name, carried) in &mut self.groups {
                let lines = carried.lines(&self.io, now(), Chronicle::compare);
                self.log.write(name, lines);
            }
        }
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        let Published { report: told, figures: counted } = &mut *published;
        *counted = figures;
        let changed = report.filter(|report| report != told).map(|report| *told = report);
        drop(published);
        if changed.is_some() {
            (self.notify)();
        }
    }

    fn figures(&self) -> Figures {
        let mut figures = self.past.clone();
        for running in self.running() {
            figures.add(running.group.report(), running.sums());
        }
        figures.requests = self.io.addresses.requests();
        figures
    }

    fn report(&self) -> Report {
        let mut report = Report { number: self.number, ..Report::default() };
        for (name, carried) in &self.groups {
            carried.report(name, self.io.failed.all(), &mut report);
        }
        if self.number > 0 {
            report.held = self.io.addresses.ours().keys().cloned().collect();
            report.foreign = self.io.addresses.foreign().clone();
        }
        report
    }
}
