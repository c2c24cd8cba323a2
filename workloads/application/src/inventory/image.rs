//! The inventory's state as plain data.

use kbnt_domain::stock::Ledger;
use kbnt_domain::stock::image::LedgerImage;

use crate::event::Writer;

use super::archive::Archive;
use super::{InventoryMachine, RestoreError};

/// What the machine knows, as if all that it wrote were read back. Which inputs it has answered stands beside it: they are
/// not read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The elected writer whose state it is.
    pub writer: Writer,
    /// All stock.
    pub ledger: LedgerImage,
}

impl InventoryMachine {
    /// Inputs that wait are left out: they are read again.
    pub(super) fn take_image(&self) -> Option<Image> {
        let writer = self.writer.as_deref().filter(|_| self.active())?.clone();
        Some(Image { writer, ledger: self.ledger.image() })
    }

    pub(super) fn restore_image(&mut self, image: Image) -> Result<Writer, RestoreError> {
        let Image { writer, ledger } = image;
        match &mut self.archive {
            Some(archive) => archive.go_back_to(&ledger.archived)?,
            None if ledger.archived.is_empty() => {}
            None => return Err(RestoreError::NoArchive),
        }
        self.ledger = Ledger::restore(self.config.terms(), ledger).inspect_err(|_| {
            self.archive = self.archive.as_ref().map(Archive::anew);
        })?;
        self.newest = Some(writer.clone());
        Ok(writer)
    }
}
