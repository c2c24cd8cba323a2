//! Which commands of one partition of order-events have their answer.

use kbnt_domain::{OrderId, Reason, Span, Timestamp};

use crate::machine::Position;
use crate::partition_state::{Inputs, Limits, Memory};

/// How many remembered answers are asked whether a command is older than all that is remembered.
const WITNESSES: usize = 64;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// The offset of the command, as the answer says.
    pub(super) command: Option<u64>,
    /// Why the user may not order; `None` if he may.
    pub(super) rejection: Option<Reason>,
    /// When it was given.
    pub(super) at: Timestamp,
    /// Whether it was read in the log, where another process may have answered first.
    pub(super) known: bool,
    /// Whether it says the first answer again, to a later command.
    pub(super) repeated: bool,
}

/// For how long after an order was validated inventory-service can tell how it ended, at most.
const TOLD_BY_INVENTORY: Span = Span::from_minutes(25 * 60);

/// What a command is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the first one of its order.
    First,
    /// Its order was answered before it came, and is rejected for this reason.
    Rejected(Reason),
    /// It has its answer, or gets none.
    None,
}

/// The answers of one partition, in the order of their commands. They are remembered by number alone: the times in records are
/// their writers', and one of the year 9999 must not make all others old.
#[derive(Debug)]
pub(super) struct Answered {
    orders: Memory<Answer>,
    inputs: Inputs,
}

impl Answered {
    /// None yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self { orders: Memory::new(limits.by_number()), inputs: Inputs::default() }
    }

    /// There is an answer for `order`.
    pub(super) fn insert(&mut self, order: OrderId, answer: Answer) {
        let (at, command) = (answer.at, answer.command);
        // The first answer in the log stands; later ones only say it again, to later commands. A copy of the first one does not,
        // whatever it says that it answers.
        let answer = match self.orders.get(&order) {
            Some(first) if first.known || !answer.known => {
                let said_again = command.filter(|_| answer.repeated);
                Answer { command: said_again.max(first.command), ..*first }
            }
            Some(ours) => Answer { command: command.max(ours.command), ..answer },
            None => answer,
        };
        self.orders.insert(order, at, answer);
    }

    /// What the command at `at` for `order` is to be answered.
    pub(super) fn turn(&mut self, at: Position, order: &OrderId, now: Timestamp) -> Turn {
        if !self.inputs.advance(at) {
            return Turn::None;
        }
        match self.orders.get(order) {
            None if self.is_forgotten(at) => Turn::None,
            None => Turn::First,
            // One that was read before may be the one that was answered.
            Some(answer) if !answer.known || answer.command.is_none_or(|command| at.offset <= command) => {
                Turn::None
            }
            Some(Answer { rejection: Some(reason), .. }) => Turn::Rejected(*reason),
            Some(answer) if now.since(answer.at) > TOLD_BY_INVENTORY => Turn::Rejected(Reason::StaleCommand),
            Some(_) => Turn::None,
        }
    }

    /// Whether the answer to the command at `at` was there and is forgotten. Answers are written in the order of their commands, so
    /// such a command lies below those of all answers that are remembered, and a new one above. Three in four decide: who writes an
    /// answer may say whatever he likes of the command, and no single one is believed.
    fn is_forgotten(&self, at: Position) -> bool {
        if !self.orders.has_forgotten() {
            return false;
        }
        let (mut all, mut later) = (0, 0);
        for answer in self.orders.sample(WITNESSES) {
            all += 1;
            later += usize::from(answer.command.is_some_and(|command| command >= at.offset));
        }
        later > 0 && 4 * later >= 3 * all
    }
}
