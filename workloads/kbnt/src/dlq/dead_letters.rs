//! The dead letters of an audit trail, and their resolutions.

use std::collections::{BTreeMap, HashSet};

use kbnt_application::event::{DeadLetterResolved, DeadLetterStored, RecordedEvent, Resolution};
use kbnt_application::{Delivered, Position};
use kbnt_domain::{EventId, Timestamp};
use kbnt_wire::text::rfc3339;
use kbnt_wire::{self as wire, RecordView};
use serde_json::{Value, json};

use crate::origin::Seen;

/// A dead letter: a record that no service could read.
#[derive(Clone, Debug)]
pub(super) struct DeadLetter {
    pub(super) at: Position,
    pub(super) stored: DeadLetterStored,
    pub(super) stored_at: Timestamp,
    /// What people did with it, and when.
    pub(super) resolved: Vec<(Timestamp, DeadLetterResolved)>,
}

/// Dead letters by the position of their records.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    /// The only one that is wanted. Otherwise the values are dropped: many of them may be large.
    only: Option<Position>,
    all: BTreeMap<Position, DeadLetter>,
    seen: HashSet<EventId>,
}

impl DeadLetters {
    /// Collects only the dead letter of this record.
    pub(super) fn only(at: Position) -> Self {
        Self { only: Some(at), ..Self::default() }
    }

    /// Takes in a record of the trail. A repeated record counts once.
    pub(super) fn take(&mut self, seen: &Seen) {
        let record = RecordView::new(Some(&seen.value), seen.written);
        let Ok(Delivered { message, .. }) = wire::decode(seen.at(), &record) else { return };
        let location = match &message.event {
            RecordedEvent::DeadLetterStored(dead_letter) => &dead_letter.location,
            RecordedEvent::DeadLetterResolved(resolved) => &resolved.location,
            _ => return,
        };
        let Some(at) = Position::of(location).filter(|at| self.only.is_none_or(|only| only == *at)) else {
            return;
        };
        if !self.seen.insert(message.id) {
            return;
        }
        match &message.event {
            RecordedEvent::DeadLetterStored(dead_letter) => {
                let mut stored = dead_letter.clone();
                if self.only.is_none() {
                    (stored.value, stored.headers) = (None, Vec::new());
                }
                let dead_letter = DeadLetter { at, stored, stored_at: message.at, resolved: Vec::new() };
                self.all.insert(at, dead_letter);
            }
            RecordedEvent::DeadLetterResolved(resolved) => {
                if let Some(dead_letter) = self.all.get_mut(&at) {
                    dead_letter.resolved.push((message.at, resolved.clone()));
                }
            }
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, at: Position) -> Option<DeadLetter> {
        self.all.remove(&at)
    }

    /// Sorted by age, the oldest first.
    pub(super) fn by_age(&self) -> Vec<&DeadLetter> {
        let mut dead_letters: Vec<_> = self.all.values().collect();
        dead_letters.sort_by_key(|dead_letter| dead_letter.stored_at);
        dead_letters
    }
}

impl DeadLetter {
    /// Whether nobody has resolved it yet.
    pub(super) const fn is_open(&self) -> bool {
        self.resolved.is_empty()
    }

    /// `OPEN`, or the last resolution.
    pub(super) fn state(&self) -> &'static str {
        self.resolved.last().map_or("OPEN", |(_, resolved)| done(resolved.how))
    }

    /// What is known about it, without the record itself.
    pub(super) fn to_json(&self) -> Value {
        let resolution = |(at, resolved): &(Timestamp, DeadLetterResolved)| {
            json!({
                "how": done(resolved.how), "at": rfc3339(*at), "by": resolved.by, "reason": resolved.reason,
                "replayedTo": resolved.replayed_to.as_ref().and_then(Position::of).map(|at| at.to_string()),
            })
        };
        json!({
            "id": self.at.to_string(), "topic": self.at.topic.name(), "partition": self.at.partition,
            "offset": self.at.offset, "state": self.state(), "reason": self.stored.reason,
            "storedAt": rfc3339(self.stored_at), "recordedAt": rfc3339(self.stored.recorded_at),
            "valueBytes": self.stored.value_bytes, "whole": self.stored.whole,
            "resolutions": self.resolved.iter().map(resolution).collect::<Vec<_>>(),
        })
    }
}

/// The name of a resolution.
pub(super) const fn done(how: Resolution) -> &'static str {
    match how {
        Resolution::Replayed => "REPLAYED",
        Resolution::Discarded => "DISCARDED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::{Outbox, Service, Topic};

    fn at(offset: u64) -> Position {
        Position { topic: Topic::OrderEvents, partition: 0, offset }
    }

    fn stored(offset: u64) -> RecordedEvent {
        let location = at(offset).location();
        let (key, value) = (b"k".as_slice(), b"[1".as_slice());
        DeadLetterStored::new(location, "r".into(), Timestamp::default(), Some(key), Some(value), []).into()
    }

    fn resolved(offset: u64, how: Resolution) -> RecordedEvent {
        let (by, reason) = ("ana".to_owned(), "a test".to_owned());
        DeadLetterResolved { location: at(offset).location(), how, replayed_to: None, by, reason }.into()
    }

    /// Records of a trail: the name that determines the id, the time, and the event.
    fn taken(mut dead_letters: DeadLetters, events: Vec<(&str, i64, RecordedEvent)>) -> DeadLetters {
        for ((name, millis, event), offset) in events.into_iter().zip(0..) {
            let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(millis));
            outbox.emit_named(name, event);
            let value = wire::encode(&outbox.take().0[0]).unwrap().value.unwrap();
            dead_letters.take(&Seen::new(Position { topic: Topic::AuditLogs, partition: 0, offset }, value));
        }
        dead_letters
    }

    fn trail() -> Vec<(&'static str, i64, RecordedEvent)> {
        vec![
            ("a", 5, stored(7)),
            ("b", 3, stored(9)),
            ("a", 8, stored(7)),
            ("c", 9, resolved(7, Resolution::Discarded)),
            ("c", 10, resolved(7, Resolution::Discarded)),
            ("d", 11, resolved(7, Resolution::Replayed)),
            ("e", 12, resolved(8, Resolution::Replayed)),
        ]
    }

    #[test]
    fn each_is_there_once_with_what_became_of_it() {
        let dead_letters = taken(DeadLetters::default(), trail());
        let states: Vec<_> = dead_letters
            .by_age()
            .iter()
            .map(|dead_letter| (dead_letter.at.offset, dead_letter.state(), dead_letter.is_open()))
            .collect();
        assert_eq!(states, [(9, "OPEN", true), (7, "REPLAYED", false)]);
        assert_eq!(dead_letters.by_age()[1].resolved.len(), 2);
        assert_eq!(dead_letters.by_age()[0].stored.value, None, "many values are too much");
    }

    #[test]
    fn one_is_whole() {
        let mut dead_letters = taken(DeadLetters::only(at(7)), trail());
        assert!(dead_letters.remove(at(9)).is_none());
        let dead_letter = dead_letters.remove(at(7)).unwrap();
        assert_eq!(dead_letter.stored.value.as_deref(), Some(b"[1".as_slice()));
        assert_eq!(dead_letter.to_json()["resolutions"][0]["by"], "ana");
    }
}
