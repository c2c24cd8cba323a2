//! The audit chain.

use std::collections::BTreeMap;

use super::place::{Audited, Duty, Partition};
use super::{Event, Figures, Place, Rule, Violation, note};

/// The links that count, and what they must be about.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// The hash of the last link.
    head: Option<String>,
    length: u64,
    passed_over: u64,
    records: BTreeMap<(String, i32), Partition>,
    broken: Vec<Violation>,
}

impl Audit {
    /// A record of audit-logs.
    pub(super) fn take(&mut self, event: &Event) {
        match event.name.as_str() {
            "DeadLetterStored" => {
                if let Some(record) = event.payload.location.as_ref().and_then(|place| self.at(place)) {
                    record.kept = true;
                }
            }
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
        match self.at(location) {
            Some(record) => record.linked += 1,
            None => note(&mut self.broken, violation(location, "was linked again")),
        }
    }

    fn at(&mut self, place: &Place) -> Option<&mut Audited> {
        self.records.entry((place.topic.clone(), place.partition)).or_default().at(place.offset)
    }

    fn read(&mut self, place: &Place, duty: Duty) {
        self.records.entry((place.topic.clone(), place.partition)).or_default().read(place.offset, duty);
    }

    /// The chain must have this record.
    pub(super) fn must_have(&mut self, place: &Place) {
        self.read(place, Duty::Linked);
    }

    /// The chain need not have this record.
    pub(super) fn may_lack(&mut self, place: &Place) {
        self.read(place, Duty::Silent);
    }

    /// The chain must have this record, and the trail must keep it.
    pub(super) fn must_keep(&mut self, place: &Place) {
        self.read(place, Duty::Kept);
    }

    /// The records that must be linked and are not, or must be kept and are not.
    pub(super) fn lacking(&self) -> impl Iterator<Item = Place> {
        self.all().filter(|(_, record)| record.lacks()).map(|(place, _)| place)
    }

    fn all(&self) -> impl Iterator<Item = (Place, &Audited)> {
        self.records.iter().flat_map(|((topic, partition), of)| {
            let place = move |offset| Place { topic: topic.clone(), partition: *partition, offset };
            of.all().map(move |(offset, record)| (place(offset), record))
        })
    }

    pub(super) const fn broken(&self) -> &Vec<Violation> {
        &self.broken
    }

    /// Forgets what has been settled for long.
    pub(super) fn turn(&mut self) {
        self.records.values_mut().for_each(Partition::turn);
    }

    pub(super) fn check(self, violations: &mut Vec<Violation>, figures: &mut Figures) {
        (figures.links, figures.passed_over) = (self.length, self.passed_over);
        for (place, record) in self.all() {
            if record.is_wanted() && record.linked != 1 {
                violations.push(violation(&place, &format!("was linked {} times", record.linked)));
            }
            if record.is_lost() {
                violations.push(violation(&place, "is not kept"));
            }
        }
        violations.extend(self.broken);
    }
}

fn violation(place: &Place, what: &str) -> Violation {
    let Place { topic, partition, offset } = place;
    Violation { rule: Rule::Audited, detail: format!("{topic}/{partition}@{offset} {what}") }
}
