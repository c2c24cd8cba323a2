//! The audit chain.

use std::collections::{HashMap, HashSet};

use super::{Event, Figures, Place, Rule, Violation};

/// The links that count, and what they must be about.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// The hash of the last link.
    head: Option<String>,
    length: u64,
    passed_over: u64,
    /// How often each record was linked.
    linked: HashMap<Place, u32>,
    wanted: Vec<Place>,
    /// Records that nobody can handle: those that must be kept, and those that are.
    poisoned: Vec<Place>,
    kept: HashSet<Place>,
}

impl Audit {
    /// A record of audit-logs.
    pub(super) fn take(&mut self, event: &Event) {
        match event.name.as_str() {
            "DeadLetterStored" => self.kept.extend(event.payload.location.clone()),
            _ => self.link(event),
        }
    }

    /// A link counts where it ties in with the end of the chain.
    fn link(&mut self, event: &Event) {
        let payload = &event.payload;
        let first = self.head.is_none()
            && payload.previous_hash.as_ref().is_some_and(|hash| hash.chars().all(|c| c == '0'));
        let ties_in = payload.sequence == Some(self.length)
            && (first || (self.head.is_some() && payload.previous_hash == self.head));
        let (true, Some(location)) = (ties_in, &payload.location) else {
            self.passed_over += 1;
            return;
        };
        self.length += 1;
        self.head.clone_from(&payload.hash);
        *self.linked.entry(location.clone()).or_default() += 1;
    }

    /// The chain must have this record.
    pub(super) fn must_have(&mut self, place: Place) {
        self.wanted.push(place);
    }

    /// The chain must have this record, and the trail must keep it.
    pub(super) fn must_keep(&mut self, place: Place) {
        self.poisoned.push(place.clone());
        self.wanted.push(place);
    }

    /// How many records must be linked and are not, or must be kept and are not.
    pub(super) fn lacking(&self) -> usize {
        let unlinked = self.wanted.iter().filter(|place| !self.linked.contains_key(place));
        let lost = self.poisoned.iter().filter(|place| !self.kept.contains(place));
        unlinked.chain(lost).count()
    }

    pub(super) fn check(self, violations: &mut Vec<Violation>, figures: &mut Figures) {
        (figures.links, figures.passed_over) = (self.length, self.passed_over);
        for place in &self.wanted {
            let times = self.linked.get(place).copied().unwrap_or(0);
            if times != 1 {
                let detail =
                    format!("{}/{}@{} was linked {times} times", place.topic, place.partition, place.offset);
                violations.push(Violation { rule: Rule::Audited, detail });
            }
        }
        for place in self.poisoned.iter().filter(|place| !self.kept.contains(place)) {
            let detail = format!("{}/{}@{} is not kept", place.topic, place.partition, place.offset);
            violations.push(Violation { rule: Rule::Audited, detail });
        }
    }
}
