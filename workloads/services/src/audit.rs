//! `kbnt audit verify`: whether the audit trail is whole, and whether what it vouches for is unchanged.

use std::collections::HashMap;
use std::process::ExitCode;

use kbnt_application::audit::content_hash;
use kbnt_application::{Delivered, Position, Topic};
use kbnt_domain::audit::{Hash, Head, verify};
use kbnt_domain::event::AuditLogCreated;
use kbnt_domain::{Event, Timestamp};
use kbnt_infrastructure::wire::{self, RecordView};

use crate::cli::VerifyOptions;
use crate::failure::Failure;
use crate::origin::{From, Next, Origin, Seen};

/// The topics whose records are audited, and the trail itself.
const TOPICS: [Topic; 6] = [
    Topic::OrderEvents,
    Topic::UserEvents,
    Topic::InventoryEvents,
    Topic::PaymentEvents,
    Topic::NotificationEvents,
    Topic::AuditLogs,
];

/// Topic, partition and offset of a record.
type Place = (&'static str, u32, u64);

/// What was read.
#[derive(Default)]
struct Trail {
    /// The links, in the order of the log, and the offset of the first.
    links: Vec<(Timestamp, AuditLogCreated)>,
    first: Option<u64>,
    /// What the audited records say now.
    contents: HashMap<Place, Hash>,
    unreadable: Vec<String>,
}

pub(crate) async fn run(options: VerifyOptions) -> Result<ExitCode, Failure> {
    let mut origin = Origin::open(&options.origin, options.data_dir.as_ref(), &TOPICS, From::Start).await?;
    let mut trail = Trail::default();
    while let Next::Record(seen) = origin.next().await? {
        trail.take(&seen);
    }
    let problems = trail.problems();
    if problems.is_empty() {
        println!("{}", trail.summary());
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        eprintln!("kbnt: {problem}");
    }
    Ok(ExitCode::FAILURE)
}

impl Trail {
    fn take(&mut self, seen: &Seen) {
        let at = Position { topic: seen.topic, partition: seen.partition, offset: seen.offset };
        let record = RecordView::new(Some(&seen.value), Timestamp::default());
        let place = (seen.topic.name(), seen.partition, seen.offset);
        match wire::decode(at, &record) {
            Ok(Delivered { message, .. }) => match &message.event {
                Event::AuditLogCreated(link) => {
                    self.first.get_or_insert(seen.offset);
                    self.links.push((message.at, link.clone()));
                }
                _ => drop(self.contents.insert(place, content_hash(&message))),
            },
            // What is no event was never audited; in the trail itself there is nothing else.
            Err(error) if seen.topic == Topic::AuditLogs => {
                self.unreadable.push(format!("audit-logs/{}@{}: {error}", seen.partition, seen.offset));
            }
            Err(_) => {}
        }
    }

    /// What is wrong, the first of each kind.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.unreadable.first().cloned().into_iter().collect();
        if let Err(broken) = verify(self.start(), self.links.iter().cloned()) {
            problems.push(broken.to_string());
        }
        let altered = self.links.iter().find_map(|(_, link)| {
            let (topic, partition, offset) = &link.location;
            let topic = Topic::from_name(topic)?.name();
            let found = self.contents.get(&(topic, *partition, *offset))?;
            let told = || {
                format!(
                    "{topic}/{partition}@{offset}: it is not what link {} says that it was",
                    link.sequence
                )
            };
            (found != &link.content_hash).then(told)
        });
        problems.extend(altered);
        problems
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
        format!(
            "the audit trail is whole: {links} links{gone}; {} audited records are unchanged{rest}",
            self.contents.len() - behind.len()
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

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::{Outbox, Service};
    use kbnt_domain::audit::link_hash;
    use kbnt_domain::event::OrderCancelRequested;
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
                records.push(Seen { topic, partition, offset, value });
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

    #[test]
    fn records_after_the_end_of_the_trail_are_told() {
        let summary = |records: &[Seen]| {
            let mut trail = Trail::default();
            for seen in records {
                trail.take(seen);
            }
            assert_eq!(trail.problems(), Vec::<String>::new());
            trail.summary()
        };
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
}
