//! Keeps a checkpoint.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;

use kbnt_domain::audit::sha256;
use kbnt_domain::stock::image::Chunk;
use kbnt_wire::text::hex;
use object_store::PutPayload;

use super::manifest::{Content, Manifest, Pack};
use super::marks::Marks;
use super::pack::{self, Builder};
use super::{
    CheckpointError, Checkpoints, Kind, MANIFEST_MOST, MARK, PACK, PACKS_MOST, SNAPSHOT, SNAPSHOT_MOST, Taken,
};
use crate::closed_orders::FjallArchive;
use crate::objects::{Created, PlaceError};

/// What was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The number of the checkpoint.
    pub number: u64,
    /// Packs of closed orders that were written for it.
    pub packs_written: u64,
    /// Packs that were there.
    pub packs_there: u64,
    /// Bytes that were written, without the manifest.
    pub bytes_written: u64,
}

/// The first pack of a checkpoint and its chunks. The oldest of them are forgotten one by one, and the pack is named as long as
/// it has what is left: who knows only the list of that could not tell.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pack: Pack,
    chunks: Vec<Chunk>,
}

impl Head {
    fn ends_with(&self, chunks: &[Chunk]) -> bool {
        let from = self.chunks.len().checked_sub(chunks.len());
        from.is_some_and(|from| pack::digest(&self.chunks[from..]) == pack::digest(chunks))
    }
}

/// The checkpoint before the one that is being kept.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) number: u64,
    pub(super) sha256: Option<String>,
    /// The last records of its snapshot, and of those before.
    pub(super) marks: Vec<Marks>,
    /// By where they begin, in packs; those of a history by their first order.
    pub(super) packs: BTreeMap<u64, Pack>,
}

impl Checkpoints {
    /// Keeps a snapshot, and the chunks of the archive that it goes with; then older checkpoints are deleted. The chunks stay in the
    /// archive meanwhile, and nobody has to wait for it.
    ///
    /// # Errors
    /// The place cannot be written, or is one of something else; somebody else was faster; the archive does not have these chunks.
    /// The checkpoint before is not touched by that.
    pub async fn keep(
        &self,
        taken: &Taken,
        snapshot: Vec<u8>,
        closed_orders: Option<(&FjallArchive, &[Chunk])>,
    ) -> Result<Kept, CheckpointError> {
        let bytes = snapshot.len() as u64;
        if bytes > SNAPSHOT_MOST {
            return Err(CheckpointError::TooLarge {
                of: "bytes of a snapshot",
                found: bytes,
                most: SNAPSHOT_MOST,
            });
        }
        let closed_orders =
            closed_orders.and_then(|(archive, chunks)| Some((archive, chunks, chunks.first()?.first)));
        let _pinned = closed_orders.map(|(archive, _, first)| archive.pin(first));
        self.place.prepare(&MARK).await?;
        let before = self.before().await?;
        let mut kept = Kept { number: before.number + 1, ..Kept::default() };
        let content = Content::of(&snapshot);
        let previous = before.sha256.clone();
        let marks = before.marks.clone();
        let mut manifest = Manifest::new(self.service, kept.number, taken, previous, marks, content);
        let mut head = None;
        if let Some((archive, chunks, first)) = closed_orders {
            manifest.first = first;
            (manifest.packs, head) = self.keep_packs(archive, chunks, &before, &mut kept).await?;
        }
        self.conclude(&manifest, snapshot, &mut kept).await?;
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
        Ok(kept)
    }

    /// Writes the snapshot, and the manifest last; then older checkpoints are deleted.
    pub(super) async fn conclude(
        &self,
        manifest: &Manifest,
        snapshot: Vec<u8>,
        kept: &mut Kept,
    ) -> Result<(), CheckpointError> {
        self.write(SNAPSHOT, &manifest.snapshot_name(), snapshot, kept).await?;
        let object = self.manifest_object(kept.number);
        if self.place.create_object(&object, manifest.sealed()).await? == Created::Other {
            return Err(CheckpointError::Raced(object));
        }
        match self.prune(manifest).await {
            Ok(true) => {}
            // It took so long that the one of this number was written, followed by others, and deleted.
            Ok(false) => return Err(CheckpointError::Raced(object)),
            Err(error) => tracing::warn!(
                operation = "checkpoints-not-deleted", %error, checkpoint = kept.number,
                "a checkpoint is kept, and older ones could not be deleted"
            ),
        }
        Ok(())
    }

    /// What the newest checkpoint has that is still there.
    pub(super) async fn before(&self) -> Result<Before, CheckpointError> {
        let newest = self.place.newest_numbers(&self.manifests(), 1).await?;
        let Some(number) = newest.first().copied() else { return Ok(Before::default()) };
        let object = self.manifest_object(number);
        let nothing = |sha256| Before { number, sha256, ..Before::default() };
        let bytes = match self.place.get_up_to(&object, MANIFEST_MOST).await {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() || matches!(error, PlaceError::Damaged { .. }) => {
                return Ok(nothing(None));
            }
            Err(error) => return Err(error.into()),
        };
        let before = nothing(Some(hex(&sha256(&bytes))));
        let Manifest { packs, marks, .. } = match Manifest::parse(&bytes, self.service, number) {
            Ok(manifest) => manifest,
            // All is written anew, and the next one is sound.
            Err(reason) => {
                tracing::warn!(
                    operation = "checkpoint-refused",
                    object,
                    reason,
                    "the newest checkpoint is damaged"
                );
                return Ok(before);
            }
        };
        let before = Before { marks, ..before };
        if packs.is_empty() {
            return Ok(before);
        }
        let there: HashMap<String, u64> =
            self.place.list(&self.folder(self.packs), self.packs.ending).await?.into_iter().collect();
        let packs = packs.into_iter().filter(|pack| there.get(&pack.name()) == Some(&pack.bytes));
        Ok(Before { packs: packs.map(|pack| (self.index(&pack), pack)).collect(), ..before })
    }

    /// Writes those packs that are not there.
    async fn keep_packs(
        &self,
        archive: &FjallArchive,
        chunks: &[Chunk],
        before: &Before,
        kept: &mut Kept,
    ) -> Result<(Vec<Pack>, Option<Head>), CheckpointError> {
        if let Some(place) = pack::unsound(chunks) {
            return Err(CheckpointError::Chunks(place));
        }
        let found = pack::packs(chunks).count();
        if found > PACKS_MOST {
            let (found, most) = (found as u64, PACKS_MOST as u64);
            return Err(CheckpointError::TooLarge { of: "packs of closed orders", found, most });
        }
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut packs = Vec::with_capacity(found);
        for chunks in pack::packs(chunks) {
            let there = before.packs.get(&(chunks[0].first / pack::PLACES));
            let is_first = packs.is_empty();
            let is_head = |pack: &&Pack| {
                is_first && head.as_ref().is_some_and(|head| head.pack == **pack && head.ends_with(chunks))
            };
            let is_same = |pack: &&Pack| {
                pack.first == chunks[0].first && pack.chunks == Some(hex(&pack::digest(chunks)))
            };
            let (pack, of) = if let Some(pack) = there.filter(is_head) {
                kept.packs_there += 1;
                (pack.clone(), head.take().map_or_else(Vec::new, |head| head.chunks))
            } else if let Some(pack) = there.filter(is_same) {
                kept.packs_there += 1;
                (pack.clone(), chunks.to_vec())
            } else {
                (self.write_pack(archive, chunks, kept).await?, chunks.to_vec())
            };
            if is_first {
                head = Some(Head { pack: pack.clone(), chunks: of });
            }
            packs.push(pack);
        }
        Ok((packs, head))
    }

    async fn write_pack(
        &self,
        archive: &FjallArchive,
        chunks: &[Chunk],
        kept: &mut Kept,
    ) -> Result<Pack, CheckpointError> {
        let mut builder = Builder::new();
        let mut orders = 0;
        for chunk in chunks {
            let rows = archive.rows(chunk)?.ok_or(CheckpointError::Gone(chunk.first))?;
            builder.push(chunk, &rows);
            orders += u64::from(chunk.orders);
        }
        let bytes = builder.bytes();
        let Content { bytes: size, sha256 } = Content::of(&bytes);
        if size > PACK.most {
            return Err(CheckpointError::TooLarge { of: "bytes of a pack", found: size, most: PACK.most });
        }
        let (first, chunks) = (chunks[0].first, Some(hex(&pack::digest(chunks))));
        let pack = Pack { number: kept.number, first, orders, bytes: size, sha256, chunks };
        self.write(PACK, &pack.name(), bytes, kept).await?;
        kept.packs_written += 1;
        Ok(pack)
    }

    /// Writes an object and reads it back.
    pub(super) async fn write(
        &self,
        kind: Kind,
        name: &str,
        bytes: Vec<u8>,
        kept: &mut Kept,
    ) -> Result<(), CheckpointError> {
        let (object, bytes) = (self.object(kind, name), PutPayload::from(bytes));
        let mut created = self.place.create_object(&object, bytes.clone()).await?;
        if created == Created::Other {
            // Its name says what it must have: it was cut or altered, and is of no use to anybody.
            self.place.delete(&object).await?;
            created = self.place.create_object(&object, bytes.clone()).await?;
        }
        let is_there = match created {
            Created::Before => true,
            Created::Yes => self.place.has(&object, &bytes).await?,
            Created::Other => false,
        };
        if !is_there {
            return Err(self.place.damaged(&object, "it is not what has just been written").into());
        }
        kept.bytes_written += bytes.content_length() as u64;
        Ok(())
    }
}
