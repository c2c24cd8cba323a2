//! What the rows of all snapshots have in common.

use std::io::{self, Write};
use std::str::FromStr;

use kbnt_application::ports::{Mark, Snapshot};
use kbnt_application::{Position, Topic};
use kbnt_domain::EventId;
use kbnt_domain::stock::image::Chunk;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A row that cannot be interpreted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bad;

impl From<postcard::Error> for Bad {
    fn from(_: postcard::Error) -> Self {
        Self
    }
}

/// The image of a machine as rows in the postcard format.
pub trait Rows: Sized + Send + Sync + 'static {
    /// The first bytes of every snapshot with such rows.
    const MAGIC: [u8; 8];

    /// Changes with the rows, and with their meaning for the machine.
    const FORMAT: u32;

    /// Writes a snapshot.
    ///
    /// # Errors
    /// It cannot be written.
    fn put(snapshot: &Snapshot<Self>, to: &mut impl Write) -> io::Result<()>;

    /// The chunks of the archive of closed orders that the image goes with.
    fn chunks(&self) -> &[Chunk] {
        &[]
    }

    /// From where a process that begins with a snapshot reads each partition, at the earliest.
    fn reads(snapshot: &Snapshot<Self>) -> Vec<Position> {
        snapshot.reads().collect()
    }

    /// Reads a snapshot; `None` if the rows make no sense.
    fn take(rows: &[u8]) -> Option<Snapshot<Self>>;
}

pub(super) fn parse<T: FromStr>(text: &str) -> Result<T, Bad> {
    text.parse().map_err(|_| Bad)
}

/// Topic, partition and offset.
pub(super) type At<'a> = (&'a str, u32, u64);

pub(super) fn at(position: &Position) -> At<'static> {
    (position.topic.name(), position.partition, position.offset)
}

pub(super) fn position((topic, partition, offset): &At<'_>) -> Result<Position, Bad> {
    Ok(Position { topic: Topic::from_name(topic).ok_or(Bad)?, partition: *partition, offset: *offset })
}

pub(super) fn positions(all: &[At<'_>]) -> Result<Vec<Position>, Bad> {
    all.iter().map(position).collect()
}

/// A record's place, and its id.
pub(super) type MarkRow<'a> = (At<'a>, [u8; 16]);

pub(super) fn mark_row(mark: &Mark) -> MarkRow<'static> {
    (at(&mark.at), *mark.id.as_uuid().as_bytes())
}

pub(super) fn marks(rows: &[MarkRow<'_>]) -> Result<Vec<Mark>, Bad> {
    let mark = |(at, id): &MarkRow<'_>| {
        Ok(Mark { at: position(at)?, id: EventId::from_uuid(Uuid::from_bytes(*id)) })
    };
    rows.iter().map(mark).collect()
}

pub(super) fn put(row: &impl Serialize, to: &mut impl Write) -> io::Result<()> {
    // Only the writer can fail, and postcard gives no details of its error.
    postcard::to_io(row, to).map(drop).map_err(|_| io::Error::other("the rows could not be written"))
}

pub(super) fn take<'a, T: Deserialize<'a>>(rows: &mut &'a [u8]) -> Result<T, Bad> {
    let (row, rest) = postcard::take_from_bytes(rows)?;
    *rows = rest;
    Ok(row)
}
