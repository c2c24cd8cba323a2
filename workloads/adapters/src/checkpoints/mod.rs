//! Checkpoints: the state of a service in a place that outlives its pods, so that a pod on an empty node begins with it instead of the
//! whole log.
//!
//! # What is in the place
//! `checkpoints.json` says that it is one for checkpoints. Each service has a folder of its name:
//!
//! - `checkpoints/THOUSAND/NUMBER.json` is written last, when all that it names is there and was read back: the manifest of a checkpoint.
//! - `snapshots/NUMBER-HASH.snapshot` has the bytes of a snapshot, which only the service understands.
//! - `closed-orders/NUMBER-FIRST-HASH.pack` has chunks of the archive of closed orders, as many as begin in 65,536 places. Chunks never
//!   change, so later checkpoints name a full pack again, and only the last one grows.
//! - `orders/NUMBER-FIRST-HASH.pack` has orders of the history of order-service as they are stored, as many as have a number in 8,192;
//!   its snapshot says how far the log is applied. Orders change while they are open, so later checkpoints name most packs again.
//!
//! Names have the first 16 digits of the SHA-256 of what is in the object. Of two writers at the same time neither harms what the other
//! has written, and one of them can write the manifest of a number. Only what the newest three manifests do not name is
//! deleted, and only if it was written for a checkpoint before them: what somebody is just writing is for a later one.

mod event;
mod fetch;
mod history;
mod keep;
mod manifest;
mod marks;
mod pace;
mod pack;
mod prune;
mod reads;
mod snapshots;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::HashSet;
use std::sync::Mutex;

use kbnt_application::ports::{self, ArchiveError, ErrorClass, HistoryError};
use kbnt_application::{Position, Service};
use kbnt_domain::Timestamp;
use thiserror::Error;

use crate::objects::{Mark, Place, PlaceError, numbered};

pub use event::CheckpointEvent;
pub use history::CheckpointedHistory;
pub use keep::Kept;
pub use manifest::Manifest;
use manifest::Pack;
pub use snapshots::CheckpointedSnapshots;
pub use verify::{Verified, Whole};

/// The version of the format.
const FORMAT: u32 = 1;

/// What every place of checkpoints has.
pub(crate) const MARK: Mark =
    Mark { object: "checkpoints.json", key: "kbntCheckpoints", format: FORMAT, of: "checkpoints" };

/// Checkpoints that stay.
const KEPT: usize = 3;

/// The largest snapshot that is kept, in bytes.
pub const SNAPSHOT_MOST: u64 = 256 << 20;

/// The largest pack in bytes: far more than 65,536 closed orders take.
const PACK_MOST: u64 = 256 << 20;

/// The most packs of a checkpoint: room for 4 billion closed orders.
const PACKS_MOST: usize = 65_536;

/// Bytes that may wait in the write-ahead log of a history while it is copied: they are on its disk.
const WAITING_MOST: u64 = 128 << 20;

/// The largest manifest in bytes: one with the most packs has half of it.
const MANIFEST_MOST: u64 = 32 << 20;

/// Why a checkpoint cannot be kept or fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The place cannot be used, or has something else than what was written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The archive of closed orders cannot be read or filled.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The history cannot be read or filled.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// So much is written to the history that its log on disk would take too much room until all of it is copied.
    #[error(
        "{0} bytes were written to the history while it was copied: the next checkpoint goes on with what is in the place already"
    )]
    Overtaken(u64),
    /// The archive was reset, or went back, since the snapshot was taken.
    #[error("the archive of closed orders does not have the chunk at place {0}, or no longer")]
    Gone(u64),
    /// These are no chunks of an archive.
    #[error("the chunk at place {0} cannot come there in an archive of closed orders")]
    Chunks(u64),
    /// Somebody else has written one meanwhile.
    #[error("another checkpoint has just been written as {0}: the next one comes after it")]
    Raced(String),
    /// What was fetched is not the snapshot that it should be.
    #[error("checkpoint {number} is of no use: {reason}")]
    Unusable {
        /// Which.
        number: u64,
        /// Why.
        reason: String,
    },
    /// There is no room for it.
    #[error("a checkpoint has room for {most} {of}, and this one would have {found}")]
    TooLarge {
        /// Of what.
        of: &'static str,
        /// How many it has.
        found: u64,
        /// How many there may be.
        most: u64,
    },
}

impl CheckpointError {
    /// What to do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Place(error) => error.class(),
            // It must be reset first, which the machine does.
            Self::Archive(ArchiveError::Damaged(_)) | Self::History(HistoryError::Damaged(_)) => {
                ErrorClass::Waiting
            }
            Self::History(HistoryError::Foreign(_))
            | Self::Chunks(_)
            | Self::Unusable { .. }
            | Self::TooLarge { .. } => ErrorClass::Permanent,
            // The next one is of a newer snapshot.
            Self::Archive(ArchiveError::Unavailable(_))
            | Self::History(_)
            | Self::Overtaken(_)
            | Self::Gone(_)
            | Self::Raced(_) => ErrorClass::Transient,
        }
    }
}

/// What is to be known of a snapshot that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// When it was taken.
    pub at: Timestamp,
    /// From where a process that begins with it reads each partition, at the earliest.
    pub reads: Vec<Position>,
    /// The last records that it knows.
    pub marks: Vec<ports::Mark>,
}

/// Objects of one kind that manifests name.
#[derive(Clone, Copy, Debug)]
struct Kind {
    folder: &'static str,
    ending: &'static str,
    /// The largest one.
    most: u64,
}

const SNAPSHOT: Kind = Kind { folder: "snapshots", ending: ".snapshot", most: SNAPSHOT_MOST };

const PACK: Kind = Kind { folder: "closed-orders", ending: ".pack", most: PACK_MOST };

/// Packs of a history.
const ORDERS: Kind = Kind { folder: "orders", ending: ".pack", most: PACK_MOST };

/// The checkpoints of one service. Everything here may block for as long as the place or the archive takes.
#[derive(Debug)]
pub struct Checkpoints {
    place: Place,
    service: Service,
    /// What its packs are.
    packs: Kind,
    /// A copy of a history is given up when so many bytes wait in its write-ahead log until it is over.
    waiting_most: u64,
    /// Packs that were read back for a checkpoint that did not come about.
    whole: Mutex<HashSet<String>>,
    /// The first pack of the checkpoint that was kept last, with its chunks.
    head: Mutex<Option<keep::Head>>,
}

impl Checkpoints {
    /// Those of a service in a place.
    pub fn new(place: Place, service: Service) -> Self {
        let packs = if service == Service::Order { ORDERS } else { PACK };
        Self {
            place,
            service,
            packs,
            waiting_most: WAITING_MOST,
            whole: Mutex::default(),
            head: Mutex::default(),
        }
    }

    /// Whose they are.
    pub const fn service(&self) -> Service {
        self.service
    }

    /// Where they are kept.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The folder of all manifests.
    fn manifests(&self) -> String {
        format!("{}/checkpoints", self.service.name())
    }

    /// The object of a manifest.
    fn manifest_object(&self, number: u64) -> String {
        numbered(&self.manifests(), number)
    }

    /// The folder of all objects of a kind.
    fn folder(&self, kind: Kind) -> String {
        format!("{}/{}", self.service.name(), kind.folder)
    }

    /// An object.
    fn object(&self, kind: Kind, name: &str) -> String {
        format!("{}/{name}{}", self.folder(kind), kind.ending)
    }

    /// Which pack it is of those that there are if none is forgotten; of a history, where it begins.
    fn index(&self, pack: &Pack) -> u64 {
        if self.service == Service::Order { pack.first } else { pack.first / pack::PLACES }
    }

    /// The manifest of a checkpoint, and its bytes.
    async fn manifest(&self, number: u64) -> Result<(Manifest, Vec<u8>), PlaceError> {
        let object = self.manifest_object(number);
        let bytes = self.place.get_up_to(&object, MANIFEST_MOST).await?;
        let manifest = Manifest::parse(&bytes, self.service, number);
        manifest.map_err(|reason| self.place.damaged(&object, reason)).map(|manifest| (manifest, bytes))
    }

    /// The manifest before `skip` newer ones; `None` if there is none. What it names is not looked at.
    ///
    /// # Errors
    /// The place cannot be read, or is one of something else; the manifest is damaged, or is not the one after which the next one was
    /// written.
    pub async fn newest(&self, skip: usize) -> Result<Option<Manifest>, CheckpointError> {
        let numbers = self.place.newest_numbers(&self.manifests(), skip.saturating_add(1)).await?;
        match self.place.is_marked(&MARK).await {
            // Nobody has kept one yet.
            Err(error) if error.is_missing() && numbers.is_empty() => return Ok(None),
            marked => marked?,
        }
        let Some(number) = numbers.get(skip).copied() else { return Ok(None) };
        let (manifest, bytes) = self.manifest(number).await?;
        // One that is damaged itself says nothing of the one before it.
        let next = numbers.into_iter().nth_back(1).filter(|next| *next == number.saturating_add(1));
        if let Some(next) = next
            && let Ok((next, _)) = self.manifest(next).await
            && !next.follows(&bytes)
        {
            let object = self.manifest_object(number);
            return Err(self
                .place
                .damaged(&object, "it is not the one after which the next was written")
                .into());
        }
        Ok(Some(manifest))
    }
}
