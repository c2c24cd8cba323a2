//! The inventory's state as plain data.

use kbnt_domain::stock::Ledger;
use kbnt_domain::stock::image::LedgerImage;

use crate::event::Writer;
use crate::machine::Position;

use super::archive::Archive;
use super::{InventoryMachine, RestoreError};

/// What the machine knows, as if all that it wrote were read back. From where its inputs are to be read stands beside it: that may be far
/// behind what was answered, where a writer that has folded the log was still reading them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The elected writer whose state it is.
    pub writer: Writer,
    /// The last input that was answered, of each partition.
    pub answered: Vec<Position>,
    /// All stock.
    pub ledger: LedgerImage,
}

impl InventoryMachine {
    /// Inputs that wait are left out: they are read again.
    pub(super) fn take_image(&self) -> Option<Image> {
        let writer = self.writer.as_deref().filter(|_| self.active())?.clone();
        Some(Image { writer, answered: self.answered().collect(), ledger: self.ledger.image() })
    }

    pub(super) fn restore_image(&mut self, image: Image) -> Result<Writer, RestoreError> {
        let Image { writer, answered, ledger } = image;
        match &mut self.archive {
            Some(archive) => archive.go_back_to(&ledger.archived)?,
            None if ledger.archived.is_empty() => {}
            None => return Err(RestoreError::NoArchive),
        }
        self.ledger = Ledger::restore(self.config.terms(), ledger).inspect_err(|_| {
            self.archive = self.archive.as_ref().map(Archive::anew);
        })?;
        for at in answered {
            self.note_answered(at);
        }
        self.newest = Some(writer.clone());
        Ok(writer)
    }
}
