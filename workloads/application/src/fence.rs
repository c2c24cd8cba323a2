//! Which records of inventory-events count: those of the newest elected writer, per partition.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use kbnt_domain::audit::digest;
use thiserror::Error;

use crate::event::{RecordedEvent, Writer};
use crate::machine::Delivered;

/// Tells the records of the elected writer from those of writers that were fenced before them in the log.
///
/// Every reader of inventory-events has one and shows it every record, in order per partition.
#[derive(Clone, Debug, Default)]
pub struct TermFence {
    newest: BTreeMap<u32, Elected>,
    /// Partitions whose first record is not shown, until it is known from what is whose records count.
    begun: BTreeMap<u32, Begun>,
}

/// Where a reader begins that is not shown the first record that a partition ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// Anywhere.
    Amid,
    /// Where the log was cut.
    AtCut,
}

/// The writer that counts in a partition, and the note that says so, once somebody has asked for it.
#[derive(Clone, Debug)]
struct Elected {
    writer: Writer,
    note: OnceLock<String>,
}

impl Elected {
    fn note(&self, partition: u32) -> &str {
        self.note.get_or_init(|| sealed(partition, &self.writer))
    }
}

impl TermFence {
    /// Whether `record` counts. A record without a writer never does, nor one of a writer whose election is not in this log before it:
    /// that one was elected in another, such as a topic of the same name that was deleted under it. A copy of the newest election does,
    /// as copies of other records do: whoever must not do a thing twice knows them by their ids.
    pub fn admits(&mut self, record: &Delivered) -> bool {
        let Delivered { at, message, .. } = record;
        let newest = self.newest.get(&at.partition).map(|elected| &elected.writer);
        match (&message.event, message.writer.as_deref()) {
            (RecordedEvent::WriterElected(elected), _) => {
                let admitted = newest.is_none_or(|newest| elected.writer >= *newest);
                if admitted {
                    self.begun.remove(&at.partition);
                }
                if admitted && newest != Some(&elected.writer) {
                    self.elected(at.partition, &elected.writer);
                }
                admitted
            }
            (_, Some(writer)) if newest == Some(writer) => true,
            (_, Some(writer)) => {
                let was_elected_before = match self.begun.get(&at.partition) {
                    None => false,
                    Some(Begun::Amid) => newest.is_none_or(|newest| writer > newest),
                    Some(Begun::AtCut) => newest.is_none(),
                };
                if was_elected_before {
                    self.elected(at.partition, writer);
                }
                was_elected_before
            }
            (_, None) => false,
        }
    }

    /// The records of this partition are not read from the first one on. Until an election is seen, a record says itself that its writer was
    /// elected: some of a writer that had been fenced just before count, too. So this is for who only shows what was.
    pub fn begin_amid(&mut self, partition: u32) {
        self.begun.insert(partition, Begun::Amid);
    }

    /// The records of this partition are read from the first one on that a [cut](crate::cut) has left, which always counts.
    pub fn begin_at_cut(&mut self, partition: u32) {
        self.newest.remove(&partition);
        self.begun.insert(partition, Begun::AtCut);
    }

    /// Whether the next record of this partition counts, whosever it is, as it is the first one that a cut has left.
    pub fn is_at_cut(&self, partition: u32) -> bool {
        self.begun.get(&partition) == Some(&Begun::AtCut) && !self.newest.contains_key(&partition)
    }

    /// What must be kept with an offset, so that a reader that starts there can [`TermFence::restore`] it.
    pub fn note(&self, partition: u32) -> String {
        self.newest.get(&partition).map(|elected| elected.note(partition).to_owned()).unwrap_or_default()
    }

    /// Whether `note` is what must be kept now.
    pub fn is_noted(&self, partition: u32, note: &str) -> bool {
        self.newest.get(&partition).map_or("", |elected| elected.note(partition)) == note
    }

    /// Takes up where a reader stands that has seen the election of `writer`, and no newer one.
    pub fn elected(&mut self, partition: u32, writer: &Writer) {
        self.newest.insert(partition, Elected { writer: writer.clone(), note: OnceLock::new() });
    }

    /// Takes up where the reader stood that left `note` for a partition. Where that is nothing that [`TermFence::note`] wrote for it,
    /// the fence knows nothing of the partition, and must be shown its records from the first one on.
    pub fn restore(&mut self, partition: u32, note: &str) -> Result<(), UnknownNote> {
        self.newest.remove(&partition);
        let writer = note.rsplit_once(' ').and_then(|(writer, _)| {
            let (term, name) = writer.split_once(' ')?;
            Some(Writer { term: term.parse().ok()?, name: name.to_owned() })
        });
        let writer = writer.filter(|writer| sealed(partition, writer) == note).ok_or(UnknownNote)?;
        self.newest.insert(partition, Elected { writer, note: note.to_owned().into() });
        Ok(())
    }
}

/// The note does not say which writer counts: nobody left one, somebody else wrote it, or it was damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the note of a commit does not say which writer counts")]
pub struct UnknownNote;

/// Term, name, and the first bytes of a SHA-256 over partition, term and name: a note with another writer in it would let a stranger's
/// records count, or nobody's.
fn sealed(partition: u32, Writer { term, name }: &Writer) -> String {
    let parts: [&[u8]; 3] = [&partition.to_be_bytes(), &term.to_be_bytes(), name.as_bytes()];
    let hash = digest("kbnt/fence-note/1", parts);
    let mut note = format!("{term} {name} ");
    for byte in &hash[..6] {
        // Writing to a text cannot fail.
        let _ = write!(note, "{byte:02x}");
    }
    note
}
