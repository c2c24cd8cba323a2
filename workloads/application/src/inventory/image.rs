//! The inventory's state as plain data.

use kbnt_domain::stock::Ledger;
use kbnt_domain::stock::image::{ImageError, LedgerImage};

use crate::event::Writer;

use super::InventoryMachine;

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

    pub(super) fn restore_image(&mut self, image: Image) -> Result<Writer, ImageError> {
        let Image { writer, ledger } = image;
        self.ledger = Ledger::restore(self.config.terms(), ledger)?;
        self.newest = Some(writer.clone());
        Ok(writer)
    }
}
