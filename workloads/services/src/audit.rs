//! `kbnt audit verify`: whether the audit trail is whole, and whether what it vouches for is unchanged.

use std::collections::{HashMap, HashSet};
use std::process::ExitCode;

use kbnt_application::audit::{DEAD_LETTER, content_hash, dead_letter};
use kbnt_application::{Delivered, Position, Topic};
use kbnt_domain::audit::{Hash, Head, verify};
use kbnt_domain::dead_letter::Location;
use kbnt_domain::event::AuditLogCreated;
use kbnt_domain::{Event, Timestamp};
use kbnt_infrastructure::wire::{self, RecordView};

use crate::cli::{TrailOptions, VerifyOptions};
use crate::failure::Failure;
use crate::origin::{From, Origin, Seen};
use crate::output;

/// Topic, partition and offset of a record.
type Place = (&'static str, u32, u64);

/// What a record is.
enum Content {
    /// An event, of this content.
    Event(Hash),
    /// Nothing that we understand; its bytes have this hash.
    Bytes(Hash),
}

impl Content {
    /// Whether it is what `link` vouches for. A record that nobody understood then, and that we understand, may be.
    fn is_of(&self, link: &AuditLogCreated) -> bool {
        match self {
            Self::Event(_) if link.event_name == DEAD_LETTER => true,
            Self::Event(hash) | Self::Bytes(hash) => *hash == link.content_hash,
        }
    }
}

/// What was read.
#[derive(Default)]
struct Trail {
    /// The links, in the order of the log.
    links: Vec<(Timestamp, AuditLogCreated)>,
    /// The offset of the trail's first record.
    first: Option<u64>,
    /// What the audited records say now.
    contents: HashMap<Place, Content>,
    /// What is kept of the records that nobody understands; `None` of those that are not kept whole.
    letters: HashMap<Place, Option<Hash>>,
    /// Those that somebody has seen to.
    resolved: HashSet<Place>,
    unreadable: Vec<String>,
}

pub(crate) async fn run(options: VerifyOptions) -> Result<ExitCode, Failure> {
    let TrailOptions { data_dir, origin } = &options.trail;
    let mut origin = Origin::open(origin, data_dir.as_ref(), &Topic::EVENTS, From::Start).await?;
    let mut trail = Trail::default();
    while let Some(seen) = origin.next_of_those().await? {
        trail.take(&seen);
    }
    let problems = trail.problems();
    if problems.is_empty() {
        output::line(&trail.summary())?;
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        output::complain(problem);
    }
    Ok(ExitCode::FAILURE)
}

impl Trail {
    fn take(&mut self, seen: &Seen) {
        let at = seen.at();
        let record = RecordView::new(Some(&seen.value), Timestamp::default());
        let place = (seen.topic.name(), seen.partition, seen.offset);
        if seen.topic == Topic::AuditLogs {
            self.first.get_or_insert(seen.offset);
        }
        match wire::decode(at, &record) {
            Ok(Delivered { message, .. }) => match &message.event {
                Event::AuditLogCreated(link) => self.links.push((message.at, link.clone())),
                Event::DeadLetterStored(letter) => {
                    if let Some(place) = known(&letter.location) {
                        self.letters.entry(place).or_insert_with(|| letter.kept_hash());
                    }
                }
                event => {
                    if let Event::DeadLetterResolved(resolved) = event {
                        self.resolved.extend(known(&resolved.location));
                    }
                    self.contents.insert(place, Content::Event(content_hash(&message)));
                }
            },
            // In the trail itself there is nothing that nobody understands.
            Err(error) if seen.topic == Topic::AuditLogs => self.unreadable.push(format!("{at}: {error}")),
            Err(_) => {
                let content = seen.unreadable.as_ref().map(|record| dead_letter(record).content_hash());
                self.contents.extend(content.map(|content| (place, Content::Bytes(content))));
            }
        }
    }

    /// What is wrong, the first of each kind.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.unreadable.first().cloned().into_iter().collect();
        if let Err(broken) = verify(self.start(), self.links.iter().cloned()) {
            problems.push(broken.to_string());
        }
        let altered = self.links.iter().find_map(|(_, link)| {
            let place @ (topic, partition, offset) = known(&link.location)?;
            let told = || {
                let number = link.sequence;
                format!("{topic}/{partition}@{offset}: it is not what link {number} says that it was")
            };
            (!self.contents.get(&place)?.is_of(link)).then(told)
        });
        problems.extend(altered);
        problems.extend(self.links.iter().find_map(|(_, link)| self.problem_of_letter(link)));
        problems
    }

    /// What is wrong with the record that this link says is kept.
    fn problem_of_letter(&self, link: &AuditLogCreated) -> Option<String> {
        let place @ (topic, partition, offset) = known(&link.location)?;
        if link.event_name != DEAD_LETTER {
            return None;
        }
        let what = match self.letters.get(&place) {
            None if self.start().length == 0 => "is not there",
            Some(Some(kept)) if *kept != link.content_hash => "is another one",
            // Not kept whole, or gone by retention before the link behind it.
            _ => return None,
        };
        let number = link.sequence;
        Some(format!("{topic}/{partition}@{offset}: the dead letter that link {number} vouches for {what}"))
    }

    /// What the first link must tie in with: nothing, unless retention took the links before it.
    fn start(&self) -> Head {
        match (self.first, self.links.first()) {
            (Some(1..), Some((_, link))) => Head { length: link.sequence, hash: link.previous_hash },
            _ => Head::default(),
        }
    }

    fn summary(&self) -> String {
        let (links, start) = (self.links.len(), self.start().length);
        let gone = if start > 0 {
            format!(", from link {start} on; retention took those before")
        } else {
            String::new()
        };
        let behind = self.behind();
        let rest = match behind.first() {
            Some((topic, partition, offset)) => format!(
                "; {} records from {topic}/{partition}@{offset} on are not in it: audit-service is behind, or links were cut off \
                 its end",
                behind.len()
            ),
            None => String::new(),
        };
        let audited: HashSet<Place> =
            self.links.iter().filter_map(|(_, link)| known(&link.location)).collect();
        let unchanged = self.contents.keys().filter(|place| audited.contains(*place)).count();
        let open = self.letters.keys().filter(|place| !self.resolved.contains(*place)).count();
        let letters = match (self.letters.len(), open) {
            (0, _) => String::new(),
            (all, open) => format!("; {all} dead letters, {open} of them open (kbnt dlq list)"),
        };
        format!(
            "the audit trail is whole: {links} links{gone}; {unchanged} audited records are unchanged{letters}{rest}"
        )
    }

    /// Records after the last one of their partition that is in the trail. No chain tells of links that were cut off its
    /// end; these do.
    fn behind(&self) -> Vec<Place> {
        let mut last = HashMap::new();
        for (_, link) in &self.links {
            let (topic, partition, offset) = &link.location;
            let last = last.entry((topic.as_str(), *partition)).or_insert(*offset);
            *last = (*offset).max(*last);
        }
        let is_behind = |&&(topic, partition, offset): &&Place| {
            last.get(&(topic, partition)).is_none_or(|&last| offset > last)
        };
        let mut behind: Vec<Place> = self.contents.keys().filter(is_behind).copied().collect();
        behind.sort_unstable();
        behind
    }
}

/// The place that stands in a record, if it is in a topic of ours.
fn known(location: &Location) -> Option<Place> {
    Position::of(location).map(|at| (at.topic.name(), at.partition, at.offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::audit::AuditMachine;
    use kbnt_application::ports::{RawRecord, Unreadable};
    use kbnt_application::{Machine as _, Outbox, Service};
    use kbnt_domain::audit::link_hash;
    use kbnt_domain::dead_letter::Resolution;
    use kbnt_domain::event::{DeadLetterResolved, OrderCancelRequested};
    use kbnt_domain::{EventId, OrderId};

    /// Three audited records, and the three links about them.
    fn records() -> Vec<Seen> {
        let mut records = Vec::new();
        let mut head = Head::default();
        for offset in 0..3 {
            let order = OrderId::derive(&"USER-1".parse().unwrap(), &offset.to_string());
            let mut outbox = Outbox::new(Service::Order, Timestamp::from_millis(1_790_000_000_000));
            outbox.emit_named(&format!("cancel {offset}"), OrderCancelRequested { order });
            let audited = outbox.take().0.remove(0);
            let mut link = AuditLogCreated {
                sequence: head.length,
                audited: audited.message.id,
                event_name: "OrderCancelRequestedCommand".into(),
                subject: order.to_string(),
                location: ("order-events".into(), 1, offset),
                content_hash: content_hash(&audited.message),
                previous_hash: head.hash,
                hash: [0; 32],
            };
            let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(1_790_000_000_001));
            link.hash = link_hash(outbox.now(), &link);
            head = Head::after(&link);
            outbox.emit_named(&format!("link {offset}"), link);
            let link = outbox.take().0.remove(0);
            for (topic, partition, append) in
                [(Topic::OrderEvents, 1, &audited), (Topic::AuditLogs, 0, &link)]
            {
                let value = wire::encode(append).unwrap().value.unwrap();
                records.push(Seen::new(Position { topic, partition, offset }, value));
            }
        }
        records
    }

    fn problems(records: &[Seen]) -> Vec<String> {
        let mut trail = Trail::default();
        for seen in records {
            trail.take(seen);
        }
        trail.problems()
    }

    /// `record` with one text in the place of another.
    fn altered(record: &mut Seen, from: &str, to: &str) {
        let text = String::from_utf8(record.value.clone()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        record.value = text.replace(from, to).into_bytes();
    }

    #[test]
    fn a_whole_trail_is_whole_also_where_retention_took_its_beginning() {
        assert_eq!(problems(&records()), Vec::<String>::new());
        assert_eq!(problems(&records()[2..]), Vec::<String>::new());
        assert_eq!(problems(&[]), Vec::<String>::new());
    }

    #[test]
    fn the_first_wrong_link_is_named() {
        let mut missing = records();
        missing.remove(3);
        assert!(problems(&missing)[0].contains("missing"), "{:?}", problems(&missing));
        let mut swapped = records();
        swapped.swap(3, 5);
        assert!(problems(&swapped)[0].contains("link 2"), "{:?}", problems(&swapped));
        let mut forged = records();
        altered(&mut forged[1], "OrderCancelRequestedCommand", "PlaceOrderCommand");
        assert!(problems(&forged)[0].contains("altered"), "{:?}", problems(&forged));
    }

    /// What is said of a trail that is whole.
    fn summary(records: &[Seen]) -> String {
        let mut trail = Trail::default();
        for seen in records {
            trail.take(seen);
        }
        assert_eq!(trail.problems(), Vec::<String>::new());
        trail.summary()
    }

    #[test]
    fn records_after_the_end_of_the_trail_are_told() {
        assert!(summary(&records()).ends_with("3 links; 3 audited records are unchanged"));
        let mut cut = records();
        cut.remove(5);
        cut.remove(3);
        let told = summary(&cut);
        assert!(told.contains("1 links; 1 audited records"), "{told}");
        assert!(told.contains("2 records from order-events/1@1 on are not in it"), "{told}");
    }

    #[test]
    fn a_record_that_was_changed_after_its_audit_is_named() {
        let mut changed = records();
        let other = EventId::named("another").to_string();
        let order = OrderId::derive(&"USER-1".parse().unwrap(), "1").to_string();
        altered(&mut changed[2], &order, &other);
        let problems = problems(&changed);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("order-events/1@1"), "{problems:?}");
    }

    /// A record that nobody understands, its dead letter, the link about it, and what a person did with it.
    fn dead() -> Vec<Seen> {
        let at = Position { topic: Topic::OrderEvents, partition: 0, offset: 0 };
        let raw = RawRecord { value: Some(b"[1".to_vec()), ..RawRecord::default() };
        let record = Unreadable { at, reason: "not an event".into(), raw: raw.into() };
        let mut machine = AuditMachine::new();
        let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(1_790_000_000_000));
        machine.unreadable(&record, &mut outbox);
        let how = Resolution::Discarded;
        let (by, reason) = ("ana".to_owned(), "a test".to_owned());
        let resolved = DeadLetterResolved { location: at.location(), how, replayed_to: None, by, reason };
        outbox.emit_named("resolved", resolved);
        let trail = outbox.take().0.into_iter().zip(0..).map(|(append, offset)| {
            let at = Position { topic: Topic::AuditLogs, partition: 0, offset };
            Seen::new(at, wire::encode(&append).unwrap().value.unwrap())
        });
        let bad = Seen { unreadable: Some(record), ..Seen::new(at, b"[1".to_vec()) };
        std::iter::once(bad).chain(trail).collect()
    }

    #[test]
    fn dead_letters_are_vouched_for_and_counted() {
        let open = summary(&dead()[..3]);
        assert!(
            open.contains("1 links; 1 audited records are unchanged; 1 dead letters, 1 of them open"),
            "{open}"
        );
        let resolved = summary(&dead());
        assert!(resolved.contains("1 dead letters, 0 of them open"), "{resolved}");
        assert!(resolved.contains("1 records from audit-logs/0@2 on are not in it"), "{resolved}");
    }

    #[test]
    fn a_dead_letter_that_is_gone_or_another_one_is_named() {
        let mut gone = dead();
        gone.remove(1);
        // The trail still goes back to its first record.
        gone[1].offset = 0;
        assert!(problems(&gone)[0].starts_with("order-events/0@0: the dead letter that link 0"), "{gone:?}");
        let mut another = dead();
        altered(&mut another[1], "WzE=", "WzI=");
        assert!(problems(&another)[0].ends_with("vouches for is another one"), "{:?}", problems(&another));
        // A newer release may understand it.
        let mut understood = dead();
        let event = records()[0].value.clone();
        understood[0] = Seen::new(understood[0].at(), event);
        assert_eq!(problems(&understood), Vec::<String>::new());
        let mut record = dead();
        record[0].unreadable.as_mut().unwrap().raw = RawRecord::default().into();
        assert!(problems(&record)[0].contains("it is not what link 0 says"), "{:?}", problems(&record));
    }
}
