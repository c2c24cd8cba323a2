//! Fetches a checkpoint.

use std::time::{Duration, Instant};

use kbnt_application::ports::ClosedOrderArchive as _;
use kbnt_domain::audit::sha256;
use kbnt_domain::stock::image::ClosedOrder;
use kbnt_wire::text::hex;

use super::manifest::{Manifest, Pack};
use super::pack::Chunks;
use super::{CheckpointError, Checkpoints, Kind, PACK, SNAPSHOT};
use crate::closed_orders::FjallArchive;
use crate::objects::PlaceError;

/// The least time between two lines in the log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Packs that are fetched one after the other. A line in the log tells of it now and then.
pub(super) struct Fetching<'a> {
    manifest: &'a Manifest,
    /// What is being filled with them.
    what: &'static str,
    begun: Instant,
    logged: Instant,
    done: u64,
}

impl<'a> Fetching<'a> {
    pub(super) fn begin(manifest: &'a Manifest, what: &'static str) -> Self {
        let now = Instant::now();
        Self { manifest, what, begun: now, logged: now, done: 0 }
    }

    /// One more is there.
    pub(super) fn passed(&mut self) {
        self.done += 1;
        if self.logged.elapsed() < LOG_EVERY {
            return;
        }
        self.logged = Instant::now();
        tracing::info!(
            operation = "checkpoint-fetching",
            checkpoint = self.manifest.number,
            packs = self.done,
            of = self.manifest.packs.len(),
            milliseconds = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "{} is being filled from a checkpoint",
            self.what
        );
    }
}

/// An archive that is being filled; it is empty unless all of it came.
struct Filling<'a> {
    archive: &'a FjallArchive,
    is_done: bool,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // The archive reports where that fails, and nobody goes back to what it has then: a snapshot was not returned.
            let _ = self.archive.reset();
        }
    }
}

impl Checkpoints {
    /// The snapshot of a checkpoint. The archive is emptied, and filled with what the snapshot goes with.
    ///
    /// # Errors
    /// The place cannot be read; an object is missing, or is not what was written; the archive cannot be written. The archive is empty
    /// then, unless the snapshot itself was refused.
    pub async fn fetch(
        &self,
        manifest: &Manifest,
        archive: Option<&FjallArchive>,
    ) -> Result<Vec<u8>, CheckpointError> {
        let content = &manifest.snapshot;
        let name = manifest.snapshot_name();
        let snapshot = self.read(SNAPSHOT, &name, content.bytes, &content.sha256).await?;
        if let Some(archive) = archive {
            self.fill(manifest, archive).await?;
        }
        Ok(snapshot)
    }

    async fn fill(&self, manifest: &Manifest, archive: &FjallArchive) -> Result<(), CheckpointError> {
        let mut filling = Filling { archive, is_done: false };
        archive.reset()?;
        let mut fetching = Fetching::begin(manifest, "the archive of closed orders");
        for pack in &manifest.packs {
            self.add(pack, manifest.first, archive).await?;
            fetching.passed();
        }
        archive.sync()?;
        filling.is_done = true;
        Ok(())
    }

    /// Adds a pack to the archive, without the chunks before `first`.
    async fn add(&self, pack: &Pack, first: u64, archive: &FjallArchive) -> Result<(), CheckpointError> {
        let name = pack.name();
        let bytes = self.read(PACK, &name, pack.bytes, &pack.sha256).await?;
        let damaged = |reason: &str| self.place.damaged(&self.object(PACK, &name), reason);
        let mut chunks = Chunks::of(&bytes, pack.first).map_err(damaged)?;
        while let Some((chunk, orders)) = chunks.read().map_err(damaged)? {
            if chunk.first < first {
                continue;
            }
            let orders: Vec<(u64, &ClosedOrder)> =
                orders.iter().map(|(place, order)| (*place, order)).collect();
            if archive.add(&chunk, &orders)? != chunk.checksum {
                return Err(damaged("the orders of a chunk are not what was archived").into());
            }
        }
        if Some(chunks.end()) == pack.end() {
            Ok(())
        } else {
            Err(damaged("it has other chunks than its manifest says").into())
        }
    }

    /// The bytes of an object, which are what was written.
    pub(super) async fn read(
        &self,
        kind: Kind,
        name: &str,
        bytes: u64,
        hash: &str,
    ) -> Result<Vec<u8>, PlaceError> {
        let object = self.object(kind, name);
        let found = self.place.get_up_to(&object, kind.most).await?;
        if found.len() as u64 != bytes || hex(&sha256(&found)) != hash {
            return Err(self.place.damaged(&object, "it is not what was written"));
        }
        Ok(found)
    }
}
