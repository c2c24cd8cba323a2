//! Declaring stock, over HTTP.

use kbnt_domain::stock::{Declaration, DeclareError, ProductLevel};

use crate::machine::Outbox;

use super::InventoryMachine;

impl InventoryMachine {
    /// Takes in what a source says about a product; the answer counts once it is durable and read back.
    pub fn declare(
        &mut self,
        declaration: &Declaration,
        outbox: &mut Outbox,
    ) -> Result<ProductLevel, DeclareError> {
        if !self.active() {
            return Err(DeclareError::NotOpen);
        }
        let answer = self.ledger.declare(declaration, outbox.now(), &mut self.emitted);
        self.emit_events(None, outbox);
        answer
    }
}
