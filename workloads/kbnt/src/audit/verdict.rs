//! Conclusions from what was read.

use std::collections::{BTreeMap, HashSet};

use kbnt_application::audit::DEAD_LETTER;
use kbnt_application::event::AuditLogCreated;
use kbnt_application::{Position, Topic};
use kbnt_domain::audit::verify;
use kbnt_domain::{Span, Timestamp};
use kbnt_embedded::{Proof, Recovery};

use super::trail::{Difference, Trail};
use crate::log::Cuts;

/// Kinds of findings, the worst first. Each has its own exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The chain is broken, or a record differs from what a link vouches for.
    Altered,
    /// Records are missing that the chain, or the log's own files, vouch for.
    Missing,
    /// The journal does not end in a whole write: records may be lost there.
    Torn,
    /// Records exist, but no link.
    NoChain,
    /// Records without a link come before records with one.
    Unlinked,
    /// Records without a link come after the last record with one.
    Behind,
    /// Nothing proves that the end of the log is still there.
    Unproven,
    /// Neither records nor links exist.
    Nothing,
}

impl Kind {
    /// The exit code. 2 is reserved for wrong options.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Altered => 1,
            Self::Missing => 3,
            Self::Behind => 4,
            Self::Unlinked => 5,
            Self::NoChain => 6,
            Self::Nothing => 7,
            Self::Torn => 8,
            Self::Unproven => 9,
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// Text for people, with the first place.
    pub(super) text: String,
}

/// The outcome.
#[derive(Debug)]
pub(super) struct Verdict {
    /// The findings, the first of each kind and place.
    pub(super) findings: Vec<Finding>,
    /// The text for a trail without findings.
    pub(super) summary: String,
}

impl Verdict {
    /// 0, or the code of the worst finding.
    pub(super) fn code(&self) -> u8 {
        self.findings.iter().map(|finding| finding.kind).min().map_or(0, Kind::code)
    }
}

/// How long Kafka keeps the topics that are not kept for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    /// The links.
    pub(super) links: Span,
    /// The records of notification-events.
    pub(super) notifications: Span,
}

/// The rules of the verification.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Where partitions begin that were cut below checkpoints.
    pub(super) cuts: Cuts,
    /// `None` if the log keeps everything.
    pub(super) retention: Option<Retention>,
    /// Whether everything was read: the bytes of all records, and unreadable records, too.
    pub(super) passes_all: bool,
    pub(super) now: Timestamp,
}

impl Rules {
    fn is_older(&self, at: Timestamp, than: Span) -> bool {
        self.now.since(at) > than
    }
}

/// The incomplete write at the end, if there is one.
fn torn(files: &Recovery) -> Option<Finding> {
    let tear = files.torn.as_ref()?;
    let text = format!(
        "{tear}: a crash left a write unfinished, of which nothing was acknowledged, or damage took the newest records; the files \
         do not say which"
    );
    Some(Finding { kind: Kind::Torn, text })
}

impl Trail {
    /// Judges the trail; `files` is what a log's own files say about its end, if it has files.
    pub(super) fn judge(&self, rules: &Rules, files: Option<&Recovery>) -> Verdict {
        let mut findings = self.altered(rules);
        let missing = |text| Finding { kind: Kind::Missing, text };
        let short = files.iter().flat_map(|files| &files.short);
        findings.extend(short.map(|short| missing(short.to_string())));
        findings.extend(self.missing(rules).into_iter().map(missing));
        findings.extend(files.and_then(torn));
        findings.extend(self.incomplete(rules));
        findings.extend(files.and_then(|files| self.unproven(files)));
        Verdict { findings, summary: self.summary(rules) }
    }

    /// Whether the end may have been cut off without a trace. The file that would show it does not exist
    /// before the first links.
    pub(super) fn unproven(&self, files: &Recovery) -> Option<Finding> {
        let why = match &files.proof {
            Proof::Given => return None,
            Proof::Missing if self.links.is_empty() => return None,
            Proof::Missing => "is missing".to_owned(),
            Proof::Refused(why) => format!("is not believed: {why}"),
        };
        let text = format!(
            "the end is not proven, as offsets.json {why}; what was cut off with its links leaves no other trace"
        );
        Some(Finding { kind: Kind::Unproven, text })
    }

    /// The first altered record of each kind.
    fn altered(&self, rules: &Rules) -> Vec<Finding> {
        let mut problems: Vec<String> = self.unreadable.first().cloned().into_iter().collect();
        let start = self.start(rules.retention.is_some());
        if let Err(broken) = verify(start, self.links.iter().map(|(at, link)| (*at, link))) {
            problems.push(broken.to_string());
        }
        problems.extend(self.links.iter().find_map(|(_, link)| {
            let place = Position::of(&link.location)?;
            let number = link.sequence;
            Some(match self.records.get(&place)?.content.differs(link)? {
                Difference::Content => format!("{place}: it is not what link {number} says that it was"),
                Difference::Bytes => {
                    format!("{place}: its key, its headers or its bytes are not what link {number} says that they were")
                }
            })
        }));
        problems
            .extend(self.links.iter().find_map(|(_, link)| self.problem_of_dead_letter(link, start.length)));
        problems.into_iter().map(|text| Finding { kind: Kind::Altered, text }).collect()
    }

    /// What is wrong with the copy of the record that this link is about.
    fn problem_of_dead_letter(&self, link: &AuditLogCreated, start: u64) -> Option<String> {
        let place = Position::of(&link.location)?;
        if link.event_name != DEAD_LETTER {
            return None;
        }
        let what = match self.dead_letters.get(&place) {
            None if start == 0 => "is not there",
            Some(Some(kept)) if *kept != link.content_hash => "is another one",
            // The copy is not whole, or retention removed the record before the link behind it.
            _ => return None,
        };
        let number = link.sequence;
        Some(format!("{place}: the dead letter that link {number} vouches for {what}"))
    }

    /// For each partition, how many records are missing that the chain vouches for, and the first of them.
    fn missing(&self, rules: &Rules) -> Vec<String> {
        let mut missing: BTreeMap<(Topic, u32), (u64, Position, u64)> = BTreeMap::new();
        for (at, link) in self.settled_links() {
            let Some(place) = Position::of(&link.location) else { continue };
            if self.records.contains_key(&place) || self.may_be_gone(rules, *at, link, place) {
                continue;
            }
            let first = missing.entry((place.topic, place.partition)).or_insert((0, place, link.sequence));
            first.0 += 1;
            if place < first.1 {
                (first.1, first.2) = (place, link.sequence);
            }
        }
        let describe = |(count, first, link): (u64, Position, u64)| {
            format!(
                "{first}: it is not there, though link {link} vouches for it; {count} of its partition are missing"
            )
        };
        missing.into_values().map(describe).collect()
    }

    /// Whether a record with a link may be missing.
    fn may_be_gone(&self, rules: &Rules, at: Timestamp, link: &AuditLogCreated, place: Position) -> bool {
        let unread = !rules.passes_all && link.event_name == DEAD_LETTER;
        let by_age = rules.retention.is_some_and(|retention| match place.topic {
            Topic::NotificationEvents => rules.is_older(at, retention.notifications),
            Topic::AuditLogs => self.first > Some(place.offset),
            _ => false,
        });
        let is_cut =
            rules.cuts.get(&(place.topic, place.partition)).is_some_and(|first| place.offset < *first);
        unread || by_age || is_cut
    }

    /// Records without a link.
    fn incomplete(&self, rules: &Rules) -> Vec<Finding> {
        let find = |kind, text| vec![Finding { kind, text }];
        if self.records.is_empty() && self.links.is_empty() {
            let text = "there is nothing to verify: no record and no link".to_owned();
            return find(Kind::Nothing, text);
        }
        let retention = rules.retention.filter(|_| self.first > Some(0));
        let link_may_be_gone = |place: &Position| {
            let record = self.records.get(place);
            retention
                .zip(record)
                .is_some_and(|(retention, record)| rules.is_older(record.at, retention.links))
        };
        let mut unlinked = self.without_link();
        unlinked.retain(|place| !link_may_be_gone(place));
        let Some(first) = unlinked.first().copied() else { return Vec::new() };
        if self.links.is_empty() {
            let count = unlinked.len();
            let text = format!(
                "the trail has no link, beside {count} records, the first of which is {first}: audit-service never ran, or all links \
                 are gone"
            );
            return find(Kind::NoChain, text);
        }
        let mut last: BTreeMap<(Topic, u32), u64> = BTreeMap::new();
        for place in self.linked() {
            let last = last.entry((place.topic, place.partition)).or_default();
            *last = place.offset.max(*last);
        }
        let (inside, behind): (Vec<_>, Vec<_>) = unlinked.into_iter().partition(|place| {
            last.get(&(place.topic, place.partition)).is_some_and(|last| place.offset < *last)
        });
        let mut findings = Vec::new();
        if let Some(first) = inside.first() {
            let count = inside.len();
            let text = format!(
                "{first}: it has no link, though later records have one; {count} records are left out"
            );
            findings.push(Finding { kind: Kind::Unlinked, text });
        }
        if let Some(first) = behind.first() {
            let count = behind.len();
            let text = format!(
                "{count} records from {first} on are not in the trail yet: audit-service is behind or does not run, or links were \
                 cut off its end"
            );
            findings.push(Finding { kind: Kind::Behind, text });
        }
        findings
    }

    fn summary(&self, rules: &Rules) -> String {
        let (links, start) = (self.links.len(), self.start(rules.retention.is_some()).length);
        let gone = if start > 0 {
            format!(", from link {start} on; retention took those before")
        } else {
            String::new()
        };
        let audited: HashSet<Position> = self.linked().collect();
        let unchanged = self.records.keys().filter(|place| audited.contains(*place)).count();
        let open = self.dead_letters.keys().filter(|place| !self.resolved.contains(*place)).count();
        let dead_letters = match (self.dead_letters.len(), open) {
            (0, _) => String::new(),
            (all, open) => format!("; {all} dead letters, {open} of them open (kbnt dlq list)"),
        };
        let unseen = if rules.passes_all {
            ""
        } else {
            "; keys, headers and exact bytes were not compared, as an event stream has none of them"
        };
        format!(
            "the audit trail is whole: {links} links{gone}; {unchanged} audited records are unchanged{dead_letters}{unseen}"
        )
    }
}
