//! Which commands of one partition of order-events have their answer.

use kbnt_domain::{OrderId, Timestamp};

use crate::machine::Position;
use crate::share::{Inputs, Limits, Memory};

/// How many remembered answers are asked whether a command is older than all that is remembered.
const WITNESSES: usize = 64;

/// The answers of one partition, in the order of their commands. They are remembered by number alone: the times in records are
/// their writers', and one of the year 9999 must not make all others old.
#[derive(Debug)]
pub(super) struct Answered {
    /// By order: the offset of the command, as the answer says.
    orders: Memory<Option<u64>>,
    inputs: Inputs,
}

impl Answered {
    /// None yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self { orders: Memory::new(limits.by_number()), inputs: Inputs::default() }
    }

    /// There is an answer for `order`, which says that it is to the command at `command`.
    pub(super) fn insert(&mut self, order: OrderId, at: Timestamp, command: Option<Position>) {
        self.orders.insert(order, at, command.map(|command| command.offset));
    }

    /// Whether the command at `at` is the first one of `order`, and nobody has answered it.
    pub(super) fn is_new(&mut self, at: Position, order: &OrderId) -> bool {
        self.inputs.advance(at) && !self.orders.contains(order) && !self.is_forgotten(at)
    }

    /// Whether the answer to the command at `at` was there and is forgotten. Answers are written in the order of their commands, so
    /// such a command lies below those of all answers that are remembered, and a new one above. Three in four decide: who writes an
    /// answer may say whatever he likes of the command, and no single one is believed.
    fn is_forgotten(&self, at: Position) -> bool {
        if !self.orders.has_forgotten() {
            return false;
        }
        let (mut all, mut later) = (0, 0);
        for command in self.orders.sample(WITNESSES) {
            all += 1;
            later += usize::from(command.is_some_and(|command| command >= at.offset));
        }
        later > 0 && 4 * later >= 3 * all
    }
}
