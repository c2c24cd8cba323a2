//! Which records of inventory-events count: those of the newest elected writer, per partition.

use std::collections::BTreeMap;

use kbnt_domain::Event;
use kbnt_domain::event::Writer;

use crate::machine::Delivered;

/// Tells the records of the elected writer from those of writers that were fenced before them in the log.
///
/// Every reader of inventory-events has one and shows it every record, in order per partition.
#[derive(Clone, Debug, Default)]
pub struct TermFence {
    newest: BTreeMap<u32, Writer>,
}

impl TermFence {
    /// Whether `record` counts. A record without a writer never does. A copy of the newest election does, as copies of other records
    /// do: whoever must not do a thing twice knows them by their ids.
    pub fn admits(&mut self, record: &Delivered) -> bool {
        let Delivered { at, message, .. } = record;
        let newest = self.newest.get(&at.partition);
        let is_newest = |writer: &Writer| newest.is_none_or(|newest| writer >= newest);
        match (&message.event, message.writer.as_deref()) {
            (Event::WriterElected(elected), _) => {
                let admitted = is_newest(&elected.writer);
                if admitted {
                    self.elected(at.partition, &elected.writer);
                }
                admitted
            }
            (_, Some(writer)) => is_newest(writer),
            (_, None) => false,
        }
    }

    /// What must be kept with an offset, so that a reader that starts there can [`TermFence::restore`] it.
    pub fn note(&self, partition: u32) -> String {
        self.newest
            .get(&partition)
            .map(|writer| format!("{} {}", writer.term, writer.name))
            .unwrap_or_default()
    }

    /// Takes up where a reader stands that has seen the election of `writer`, and no newer one.
    pub fn elected(&mut self, partition: u32, writer: &Writer) {
        self.newest.insert(partition, writer.clone());
    }

    /// Takes up where the reader stood that left `note`. An empty or unknown note stands for no writer yet.
    pub fn restore(&mut self, partition: u32, note: &str) {
        let writer = note
            .split_once(' ')
            .and_then(|(term, name)| Some(Writer { term: term.parse().ok()?, name: name.to_owned() }));
        match writer {
            Some(writer) => self.newest.insert(partition, writer),
            None => self.newest.remove(&partition),
        };
    }
}
