//! Which commands of one partition of order-events have their answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kbnt_domain::{OrderId, Reason, Span, Timestamp};

use crate::machine::{Delivered, Position};
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

/// By how much longer than its window inventory-service remembers orders that have ended.
const LONGER: Span = Span::from_minutes(60);

/// What a command is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the first one of its order.
    First,
    /// Its order was answered before it came, and is rejected for this reason.
    Rejected(Reason),
    /// It has its answer, or gets none.
    None,
    /// Its order was answered before it came, and only the log says how: another process may have been first.
    Later,
}

/// The answers of one partition, in the order of their commands. They are remembered by number alone: the times in records are
/// their writers', and one of the year 9999 must not make all others old.
#[derive(Debug)]
pub(super) struct Answered {
    /// For how long after an order was validated inventory-service can tell how it ended, at most.
    remembered_by_inventory: Span,
    orders: Memory<Answer>,
    /// Whether a record of the partition was folded.
    begun: bool,
    inputs: Inputs,
    /// Commands whose order has an answer that is not read back yet.
    waiting: HashMap<OrderId, Vec<Delivered>>,
    /// Commands that have waited and wait no longer, by offset.
    due: BTreeMap<u64, Delivered>,
    /// The offsets of both.
    open: BTreeSet<u64>,
}

impl Answered {
    /// None yet. inventory-service has this window.
    pub(super) fn new(limits: Limits, window: Span) -> Self {
        Self {
            remembered_by_inventory: Span::from_millis(window.as_millis().saturating_add(LONGER.as_millis())),
            orders: Memory::new(limits.by_number()),
            begun: false,
            inputs: Inputs::default(),
            waiting: HashMap::new(),
            due: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    /// The first record of the partition that is folded, unless another one was before, has this offset: what lies before it is
    /// forgotten.
    pub(super) fn begin_at(&mut self, offset: u64) {
        if !std::mem::replace(&mut self.begun, true) && offset > 0 {
            self.orders.forget_before();
        }
    }

    /// There is an answer for `order`.
    pub(super) fn insert(&mut self, order: OrderId, answer: Answer) {
        let (at, command) = (answer.at, answer.command);
        if answer.known {
            let due = self.waiting.remove(&order).unwrap_or_default();
            self.due.extend(due.into_iter().map(|record| (record.at.offset, record)));
        }
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
        self.turn_again(at, order, now)
    }

    /// What a command is to be answered that was taken in before.
    fn turn_again(&self, at: Position, order: &OrderId, now: Timestamp) -> Turn {
        match self.orders.get(order) {
            None if self.is_forgotten(at) => Turn::None,
            None => Turn::First,
            // One that was read before may be the one that was answered.
            Some(answer) if answer.command.is_none_or(|command| at.offset <= command) => Turn::None,
            Some(answer) if !answer.known => Turn::Later,
            Some(Answer { rejection: Some(reason), .. }) => Turn::Rejected(*reason),
            Some(answer) if now.since(answer.at) > self.remembered_by_inventory => {
                Turn::Rejected(Reason::StaleCommand)
            }
            Some(_) => Turn::None,
        }
    }

    /// The command is to be answered when the first answer to `order` is read back.
    pub(super) fn wait(&mut self, order: OrderId, command: Delivered) {
        self.open.insert(command.at.offset);
        self.waiting.entry(order).or_default().push(command);
    }

    /// The next command that has waited and waits no longer, and what it is to be answered.
    pub(super) fn next_due(&mut self, now: Timestamp) -> Option<(Delivered, Turn)> {
        let (offset, command) = self.due.pop_first()?;
        self.open.remove(&offset);
        let order = command.message.order()?;
        let turn = self.turn_again(command.at, &order, now);
        Some((command, turn))
    }

    /// Whether a command waits no longer.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// How many commands wait.
    pub(super) fn waits(&self) -> usize {
        self.open.len()
    }

    /// The offset of the first command that waits.
    pub(super) fn first_open(&self) -> Option<u64> {
        self.open.first().copied()
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
