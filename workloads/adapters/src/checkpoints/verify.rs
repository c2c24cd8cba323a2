//! Which checkpoints a start could begin with.

use std::collections::HashMap;

use kbnt_application::ports::Mark;

use super::manifest::Manifest;
use super::{CheckpointError, Checkpoints, KEPT, SNAPSHOT};
use crate::history::progress_of;
use crate::snapshots::{Rows, file};

/// A checkpoint that is whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// What it consists of.
    pub manifest: Manifest,
    /// The records up to which its snapshot knows all: they tell its log from others.
    pub marks: Vec<Mark>,
}

/// The checkpoints of a service, the newest first.
#[derive(Debug, Default)]
pub struct Verified {
    /// Those that are whole.
    pub whole: Vec<Whole>,
    /// What is wrong with the others.
    pub refused: Vec<CheckpointError>,
}

impl Checkpoints {
    /// Reads every checkpoint that there is, and its snapshot. Of orders it is checked that they are there: they were read back when they
    /// were written, and a start reads them.
    ///
    /// # Errors
    /// The place cannot be read, or is one of something else.
    pub async fn verify<I: Rows>(&self) -> Result<Verified, CheckpointError> {
        self.verify_by(|bytes| match file::read::<I>(bytes) {
            Ok(snapshot) => Ok(snapshot.folded),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// The same for checkpoints of the history of orders.
    ///
    /// # Errors
    /// The place cannot be read, or is one of something else.
    pub async fn verify_histories(&self) -> Result<Verified, CheckpointError> {
        self.verify_by(|bytes| match progress_of(bytes) {
            Ok(progress) => Ok(progress.partitions.values().filter_map(|reached| reached.last).collect()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// `marks` tells the last records of a snapshot, or why it is of no use.
    async fn verify_by(
        &self,
        marks: impl Fn(&[u8]) -> Result<Vec<Mark>, String>,
    ) -> Result<Verified, CheckpointError> {
        let mut verified = Verified::default();
        // A writer that is about to delete an older one may have just written the next.
        for skip in 0..=KEPT {
            let manifest = match self.newest(skip).await {
                Ok(None) => break,
                Ok(Some(manifest)) => manifest,
                Err(error) => {
                    verified.refuse(error)?;
                    continue;
                }
            };
            let snapshot = self.whole_snapshot(&manifest).await;
            let unusable = |reason| CheckpointError::Unusable { number: manifest.number(), reason };
            match snapshot.and_then(|bytes| marks(&bytes).map_err(unusable)) {
                Ok(marks) => verified.whole.push(Whole { manifest, marks }),
                Err(error) => verified.refuse(error)?,
            }
        }
        Ok(verified)
    }

    /// The snapshot of a whole checkpoint.
    async fn whole_snapshot(&self, manifest: &Manifest) -> Result<Vec<u8>, CheckpointError> {
        let listed = self.place.list(&self.folder(self.packs), self.packs.ending).await?;
        let packs: HashMap<String, u64> = listed.into_iter().collect();
        if let Some(pack) = manifest.packs.iter().find(|pack| packs.get(&pack.name()) != Some(&pack.bytes)) {
            let object = self.object(self.packs, &pack.name());
            return Err(self.place.damaged(&object, "it is not there as it was written").into());
        }
        let content = &manifest.snapshot;
        Ok(self.read(SNAPSHOT, &manifest.snapshot_name(), content.bytes, &content.sha256).await?)
    }
}

impl Verified {
    /// Notes what is wrong with one, or that nobody can tell.
    fn refuse(&mut self, error: CheckpointError) -> Result<(), CheckpointError> {
        let is_its_own = match &error {
            CheckpointError::Place(error) => error.is_damage() || error.is_missing(),
            CheckpointError::Unusable { .. } => true,
            _ => false,
        };
        if !is_its_own {
            return Err(error);
        }
        self.refused.push(error);
        Ok(())
    }
}
