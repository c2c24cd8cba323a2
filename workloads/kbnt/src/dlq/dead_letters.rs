//! The dead letters of an audit trail, and what became of them.

use std::collections::{BTreeMap, HashSet};

use kbnt_application::{Delivered, Position};
use kbnt_domain::dead_letter::Resolution;
use kbnt_domain::event::{DeadLetterResolved, DeadLetterStored};
use kbnt_domain::{Event, EventId, Timestamp};
use kbnt_wire::text::rfc3339;
use kbnt_wire::{self as wire, RecordView};
use serde_json::{Value, json};

use crate::origin::Seen;

/// A record that nobody understands.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) at: Position,
    pub(super) stored: DeadLetterStored,
    pub(super) stored_at: Timestamp,
    /// What persons did with it, and when.
    pub(super) resolved: Vec<(Timestamp, DeadLetterResolved)>,
}

/// Dead letters by where their records lie.
#[derive(Debug, Default)]
pub(super) struct Letters {
    /// The only one that is wanted. Of many the values are let go: they may be large.
    only: Option<Position>,
    all: BTreeMap<Position, Letter>,
    seen: HashSet<EventId>,
}

impl Letters {
    /// None but the one of this record.
    pub(super) fn only(at: Position) -> Self {
        Self { only: Some(at), ..Self::default() }
    }

    /// Takes in a record of the trail. One that stands there twice counts once.
    pub(super) fn take(&mut self, seen: &Seen) {
        let record = RecordView::new(Some(&seen.value), seen.written);
        let Ok(Delivered { message, .. }) = wire::decode(seen.at(), &record) else { return };
        let location = match &message.event {
            Event::DeadLetterStored(letter) => &letter.location,
            Event::DeadLetterResolved(resolved) => &resolved.location,
            _ => return,
        };
        let Some(at) = Position::of(location).filter(|at| self.only.is_none_or(|only| only == *at)) else {
            return;
        };
        if !self.seen.insert(message.id) {
            return;
        }
        match &message.event {
            Event::DeadLetterStored(letter) => {
                let mut stored = letter.clone();
                if self.only.is_none() {
                    (stored.value, stored.headers) = (None, Vec::new());
                }
                let letter = Letter { at, stored, stored_at: message.at, resolved: Vec::new() };
                self.all.insert(at, letter);
            }
            Event::DeadLetterResolved(resolved) => {
                if let Some(letter) = self.all.get_mut(&at) {
                    letter.resolved.push((message.at, resolved.clone()));
                }
            }
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, at: Position) -> Option<Letter> {
        self.all.remove(&at)
    }

    /// The oldest first.
    pub(super) fn by_age(&self) -> Vec<&Letter> {
        let mut letters: Vec<_> = self.all.values().collect();
        letters.sort_by_key(|letter| letter.stored_at);
        letters
    }
}

impl Letter {
    /// Whether nobody has seen to it yet.
    pub(super) const fn is_open(&self) -> bool {
        self.resolved.is_empty()
    }

    /// `OPEN`, or what was done with it last.
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

/// What was done, in a word.
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

    fn stored(offset: u64) -> Event {
        let location = at(offset).location();
        let (key, value) = (b"k".as_slice(), b"[1".as_slice());
        DeadLetterStored::new(location, "r".into(), Timestamp::default(), Some(key), Some(value), []).into()
    }

    fn resolved(offset: u64, how: Resolution) -> Event {
        let (by, reason) = ("ana".to_owned(), "a test".to_owned());
        DeadLetterResolved { location: at(offset).location(), how, replayed_to: None, by, reason }.into()
    }

    /// Records of a trail: the name that the id stands for, when, and what.
    fn taken(mut letters: Letters, events: Vec<(&str, i64, Event)>) -> Letters {
        for ((name, millis, event), offset) in events.into_iter().zip(0..) {
            let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(millis));
            outbox.emit_named(name, event);
            let value = wire::encode(&outbox.take().0[0]).unwrap().value.unwrap();
            letters.take(&Seen::new(Position { topic: Topic::AuditLogs, partition: 0, offset }, value));
        }
        letters
    }

    fn trail() -> Vec<(&'static str, i64, Event)> {
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
        let letters = taken(Letters::default(), trail());
        let states: Vec<_> = letters
            .by_age()
            .iter()
            .map(|letter| (letter.at.offset, letter.state(), letter.is_open()))
            .collect();
        assert_eq!(states, [(9, "OPEN", true), (7, "REPLAYED", false)]);
        assert_eq!(letters.by_age()[1].resolved.len(), 2);
        assert_eq!(letters.by_age()[0].stored.value, None, "many values are too much");
    }

    #[test]
    fn one_is_whole() {
        let mut letters = taken(Letters::only(at(7)), trail());
        assert!(letters.remove(at(9)).is_none());
        let letter = letters.remove(at(7)).unwrap();
        assert_eq!(letter.stored.value.as_deref(), Some(b"[1".as_slice()));
        assert_eq!(letter.to_json()["resolutions"][0]["by"], "ana");
    }
}
