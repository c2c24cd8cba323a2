//! How far the audit trail has come, as a row.

use std::io::{self, Write};

use kbnt_application::Position;
use kbnt_application::audit::{AuditImage, Linked};
use kbnt_application::ports::Snapshot;
use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, Head};
use serde::{Deserialize, Serialize};

use super::rows::{At, Bad, MarkRow, Rows, at, mark_row, marks, position, put, take};

/// All that there is.
#[derive(Debug, Serialize, Deserialize)]
struct Row<'a> {
    taken: i64,
    #[serde(borrow)]
    read: Vec<MarkRow<'a>>,
    begins: Option<u64>,
    length: u64,
    hash: Hash,
    #[serde(borrow)]
    linked: Vec<(At<'a>, Vec<(u64, u64)>)>,
}

fn read(mut rows: &[u8]) -> Result<Snapshot<AuditImage>, Bad> {
    let row: Row<'_> = take(&mut rows)?;
    let linked = |(next, gaps): &(At<'_>, Vec<(u64, u64)>)| {
        Ok(Linked { next: position(next)?, gaps: gaps.iter().map(|(start, end)| *start..*end).collect() })
    };
    let image = AuditImage {
        begins: row.begins,
        head: Head { length: row.length, hash: row.hash },
        linked: row.linked.iter().map(linked).collect::<Result<_, Bad>>()?,
    };
    let taken = Timestamp::from_millis(row.taken);
    let snapshot = Snapshot { taken, folded: marks(&row.read)?, inputs: Vec::new(), image };
    if rows.is_empty() { Ok(snapshot) } else { Err(Bad) }
}

impl Rows for AuditImage {
    const MAGIC: [u8; 8] = *b"KBNTaudt";
    const FORMAT: u32 = 1;

    fn put(snapshot: &Snapshot<Self>, to: &mut impl Write) -> io::Result<()> {
        let Self { begins, head, linked } = &snapshot.image;
        let gaps = |linked: &Linked| linked.gaps.iter().map(|gap| (gap.start, gap.end)).collect();
        let row = Row {
            taken: snapshot.taken.as_millis(),
            read: snapshot.folded.iter().map(mark_row).collect(),
            begins: *begins,
            length: head.length,
            hash: head.hash,
            linked: linked.iter().map(|linked| (at(&linked.next), gaps(linked))).collect(),
        };
        put(&row, to)
    }

    fn reads(snapshot: &Snapshot<Self>) -> Vec<Position> {
        snapshot.reads().chain(snapshot.image.reads()).collect()
    }

    fn take(rows: &[u8]) -> Option<Snapshot<Self>> {
        read(rows).ok()
    }
}
