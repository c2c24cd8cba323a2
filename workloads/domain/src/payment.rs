//! What a payment may do: one order, one outcome, and money that is taken for nothing goes back.
//!
//! The rules, in short: a reservation whose time is up is not charged; an attempt whose outcome is unknown is queried,
//! never guessed; before the failure is written, nothing may be open at the gateway, or, where all attempts
//! of this process certainly charged nothing, the gateway is told to refuse any late one right after.

use crate::{Reason, Span, Timestamp, TransactionId};

/// The first pause before an attempt is repeated; it doubles up to [`PAUSE_MOST`].
pub const PAUSE_FIRST: Span = Span::from_millis(500);

/// The longest pause before an attempt is repeated.
pub const PAUSE_MOST: Span = Span::from_secs(30);

/// The pause after `failures` failed attempts in a row (at least 1).
pub const fn pause_after(failures: u32) -> Span {
    let doublings = failures.saturating_sub(1);
    let doublings = if doublings > 16 { 16 } else { doublings };
    let millis = PAUSE_FIRST.as_millis() << doublings;
    Span::from_millis(if millis < PAUSE_MOST.as_millis() { millis } else { PAUSE_MOST.as_millis() })
}

/// After so many failed attempts in a row, about a minute, a person should look.
const STUCK_AFTER: u32 = 8;

/// So many answers that make no sense are enough: the order fails, and what was charged goes back.
pub const SENSELESS_MOST: u32 = 6;

/// One attempt at the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Charge.
    Charge,
    /// Ask what became of the charge.
    Query,
    /// Ask what became of the charge, and have any later one refused.
    Close,
    /// Undo the charge.
    Refund(Refund),
}

/// A charge to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The charge; `None` where the gateway gave it no name that can be used: its order names it.
    pub transaction: Option<TransactionId>,
    /// Why.
    pub reason: Reason,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The charge is made.
    Charged(TransactionId),
    /// The charge is made, and its name is none that can be used.
    ChargedUnnamed,
    /// Refused for good.
    Declined,
    /// This attempt certainly charged nothing (or a query found nothing).
    NotCharged,
    /// The charge did not start, as the reservation had ended.
    Overdue,
    /// Nobody knows.
    Unknown,
    /// Nobody knows, and the gateway has answered: what it says makes no sense.
    Senseless,
    /// Nothing was charged and nothing will be.
    Closed,
    /// The refund is made.
    Refunded,
    /// The refund must be tried again.
    NotRefunded,
}

/// What is to be written about the payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The charge is made.
    Processed(TransactionId),
    /// The order is not paid: nothing was charged and nothing will be, or it goes back.
    Failed {
        /// Why.
        reason: Reason,
        /// The gateway says that it has charged, by no name that can be used: that is to be undone.
        refund_due: bool,
    },
    /// The charge is undone.
    Refunded(Refund),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing for now.
    Wait,
    /// One attempt.
    Try(Attempt),
    /// Write an event.
    Write(Conclusion),
}

/// Why an order that is not paid yet must not be charged any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its reservation expired.
    Expired,
    /// Its reservation was released, for this reason.
    Released(Reason),
}

/// The outcome that stands first in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// The charge is made.
    Processed,
    /// The order is not paid.
    Failed {
        /// Why.
        reason: Reason,
        /// Whether a charge by no usable name is to be undone.
        refund_due: bool,
    },
}

/// The payment of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    expires_at: Timestamp,
    phase: Phase,
    ending: Option<Ending>,
    /// An attempt found the gateway away.
    tried: bool,
    /// In the log it stands that nothing was charged: from here on whatever was is undone.
    failed: Option<Reason>,
    /// The gateway has said that the order was charged, and not in a way that pays it.
    refund_due: bool,
    failures: u32,
    /// Answers that made no sense.
    senseless: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// At the gateway.
    Trying(Attempt),
    /// To be tried at this instant.
    Pausing(Attempt, Timestamp),
    /// The reservation's time is up by our clock: for the inventory to say so.
    Expiring,
    /// Until the log shows whether another process has written another outcome before.
    Concluding,
    /// Nothing is left to do.
    Settled,
}

impl Payment {
    /// A reservation is to be paid. Without `fresh` somebody may have tried before, so that is asked first.
    pub fn start(expires_at: Timestamp, fresh: bool, now: Timestamp) -> (Self, Action) {
        let mut payment = Self::new(expires_at);
        let action = if fresh { payment.charge(now) } else { payment.attempt(Attempt::Query) };
        (payment, action)
    }

    /// The log says that the order is not paid: makes sure that nothing is taken for it, or undoes what was.
    pub fn seal(reason: Reason, refund_due: bool) -> (Self, Action) {
        let mut payment = Self::new(Timestamp::MIN);
        (payment.failed, payment.refund_due) = (Some(reason), refund_due);
        let action = payment.make_sure();
        (payment, action)
    }

    /// A charge is to be undone.
    pub fn refund(refund: Refund) -> (Self, Action) {
        let mut payment = Self::new(Timestamp::MIN);
        let action = payment.attempt(Attempt::Refund(refund));
        (payment, action)
    }

    const fn new(expires_at: Timestamp) -> Self {
        Self {
            expires_at,
            phase: Phase::Expiring,
            ending: None,
            tried: false,
            failed: None,
            refund_due: false,
            failures: 0,
            senseless: 0,
        }
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Settled
    }

    /// Whether attempts have failed for so long that a person should look.
    pub const fn is_stuck(&self) -> bool {
        self.failures >= STUCK_AFTER
    }

    /// Whether the reservation's time is up, and only the inventory's word for it is missing.
    pub fn awaits_expiry(&self) -> bool {
        self.phase == Phase::Expiring
    }

    /// When [`Payment::wake`] has something to do.
    pub const fn wakes_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Pausing(_, at) => Some(at),
            _ => None,
        }
    }

    /// The clock was wrong and has been put back to `now`: what was to be tried again in a while is due.
    pub fn put_back(&mut self, now: Timestamp) {
        if let Phase::Pausing(_, at) = &mut self.phase
            && *at > now + PAUSE_MOST
        {
            *at = now;
        }
    }

    /// The reservation has ended unpaid.
    pub fn end(&mut self, ending: Ending) -> Action {
        if self.failed.is_some() || self.ending.is_some() {
            return Action::Wait;
        }
        self.ending = Some(ending);
        match self.phase {
            Phase::Expiring | Phase::Pausing(Attempt::Charge, _) => self.fail(),
            Phase::Pausing(Attempt::Query, _) => self.attempt(Attempt::Close),
            _ => Action::Wait,
        }
    }

    /// The inventory has no reservation for the charge: it must be undone.
    pub fn lost(&mut self, refund: Refund) -> Action {
        match &self.phase {
            Phase::Trying(Attempt::Refund(_)) | Phase::Pausing(Attempt::Refund(_), _) => Action::Wait,
            _ => self.attempt(Attempt::Refund(refund)),
        }
    }

    /// The log shows this outcome, and no other before it.
    pub fn read_back(&mut self, first: First) -> Action {
        match (first, &self.phase) {
            (
                _,
                Phase::Settled | Phase::Trying(Attempt::Refund(_)) | Phase::Pausing(Attempt::Refund(_), _),
            ) => Action::Wait,
            (First::Processed, _) => self.settle(),
            (First::Failed { reason, refund_due }, phase) => {
                let under_way = matches!(phase, Phase::Trying(_));
                self.refund_due |= refund_due;
                if reason == Reason::PaymentDeclined && !self.refund_due {
                    return self.settle();
                }
                self.failed = Some(reason);
                // The end of an attempt that is under way says more than the closing would.
                if under_way && !self.refund_due { Action::Wait } else { self.make_sure() }
            }
        }
    }

    /// A pause is over.
    pub fn wake(&mut self, now: Timestamp) -> Action {
        match &self.phase {
            Phase::Pausing(Attempt::Charge, at) if *at <= now => self.charge(now),
            Phase::Pausing(attempt, at) if *at <= now => {
                let attempt = attempt.clone();
                self.attempt_again(attempt)
            }
            _ => Action::Wait,
        }
    }

    /// An attempt has come to its end. Ends of attempts that were given up count for what they say of the charge.
    pub fn outcome(&mut self, outcome: Outcome, now: Timestamp) -> Action {
        let phase = std::mem::replace(&mut self.phase, Phase::Settled);
        let outcome = if outcome == Outcome::Senseless { self.senseless() } else { outcome };
        match phase {
            Phase::Trying(Attempt::Refund(refund)) => self.refunded(refund, &outcome, now),
            Phase::Settled | Phase::Concluding | Phase::Pausing(Attempt::Refund(_), _) => {
                self.phase = phase;
                Action::Wait
            }
            phase if self.failed.is_some() => self.sealed(phase, outcome, now),
            phase => self.charged(phase, outcome, now),
        }
    }

    /// A few answers without sense may be an accident, and are asked about again. More of them are as good as the one answer
    /// that cannot be used: waiting for a better one would keep the order pending for ever.
    fn senseless(&mut self) -> Outcome {
        self.senseless = self.senseless.saturating_add(1);
        if self.senseless >= SENSELESS_MOST && self.failed.is_none() {
            Outcome::Senseless
        } else {
            Outcome::Unknown
        }
    }

    /// While the order may still be paid.
    fn charged(&mut self, phase: Phase, outcome: Outcome, now: Timestamp) -> Action {
        match (phase, outcome) {
            (_, Outcome::Charged(transaction)) => self.conclude(Conclusion::Processed(transaction)),
            // Nobody could tell this charge from another, so the order is not paid by it: it fails, and then the charge goes
            // back under the order's name.
            // The same goes for one that has gone back already.
            (_, outcome @ (Outcome::ChargedUnnamed | Outcome::Refunded | Outcome::Senseless)) => {
                self.tried = true;
                self.refund_due |= outcome != Outcome::Senseless;
                self.fail()
            }
            (_, Outcome::Declined) => self.failed_for_good(Reason::PaymentDeclined),
            (Phase::Trying(Attempt::Close | Attempt::Query), Outcome::Closed) => {
                self.failed_for_good(self.reason())
            }
            (Phase::Trying(Attempt::Charge), Outcome::Closed) => {
                self.tried = true;
                self.failed_for_good(self.reason())
            }
            (Phase::Trying(Attempt::Charge), Outcome::NotCharged) => {
                self.tried = true;
                if self.ending.is_some() { self.fail() } else { self.pause(Attempt::Charge, now) }
            }
            (Phase::Trying(Attempt::Query), Outcome::NotCharged)
            | (Phase::Trying(Attempt::Charge), Outcome::Overdue) => self.charge(now),
            (Phase::Trying(Attempt::Charge), Outcome::Unknown) => {
                self.tried = true;
                self.ask_again(now)
            }
            (Phase::Trying(Attempt::Query), _)
            | (Phase::Pausing(Attempt::Charge, _) | Phase::Expiring, Outcome::Unknown) => self.ask_again(now),
            (Phase::Trying(attempt), _) => self.pause(attempt, now),
            (phase, _) => {
                self.phase = phase;
                Action::Wait
            }
        }
    }

    /// After the log said that nothing was charged.
    fn sealed(&mut self, phase: Phase, outcome: Outcome, now: Timestamp) -> Action {
        match (phase, outcome) {
            (_, Outcome::Charged(transaction)) => self.give_back(Some(transaction)),
            (_, Outcome::ChargedUnnamed | Outcome::Refunded) => self.give_back(None),
            (Phase::Trying(Attempt::Close), Outcome::Closed) | (_, Outcome::Declined) => self.settle(),
            (Phase::Trying(Attempt::Close), _) => self.pause(Attempt::Close, now),
            (Phase::Trying(_), _) => self.attempt(Attempt::Close),
            (phase, _) => {
                self.phase = phase;
                Action::Wait
            }
        }
    }

    /// Undoes what was charged, or has the gateway refuse any late charge.
    fn make_sure(&mut self) -> Action {
        if self.refund_due { self.give_back(None) } else { self.attempt(Attempt::Close) }
    }

    fn give_back(&mut self, transaction: Option<TransactionId>) -> Action {
        let reason = self.failed.unwrap_or(Reason::ReservationExpired);
        self.attempt(Attempt::Refund(Refund { transaction, reason }))
    }

    fn refunded(&mut self, refund: Refund, outcome: &Outcome, now: Timestamp) -> Action {
        if *outcome == Outcome::Refunded {
            self.conclude(Conclusion::Refunded(refund))
        } else if *outcome == Outcome::NotRefunded {
            self.pause(Attempt::Refund(refund), now)
        } else {
            // The end of an attempt that was given up for the refund.
            self.phase = Phase::Trying(Attempt::Refund(refund));
            Action::Wait
        }
    }

    /// Charges while the reservation holds.
    fn charge(&mut self, now: Timestamp) -> Action {
        if self.ending.is_some() {
            self.fail()
        } else if now >= self.expires_at {
            self.phase = Phase::Expiring;
            Action::Wait
        } else {
            self.attempt_again(Attempt::Charge)
        }
    }

    /// Nobody knows whether it was charged.
    fn ask_again(&mut self, now: Timestamp) -> Action {
        if self.ending.is_some() { self.attempt(Attempt::Close) } else { self.pause(Attempt::Query, now) }
    }

    /// Nothing was charged by us that counts, and nothing will be: written at once, and sealed after it is in the log.
    fn fail(&mut self) -> Action {
        let (reason, refund_due) = (self.reason(), self.refund_due);
        self.phase = Phase::Concluding;
        Action::Write(Conclusion::Failed { reason, refund_due })
    }

    /// Nothing was charged, and nothing can be any more.
    fn failed_for_good(&mut self, reason: Reason) -> Action {
        self.conclude(Conclusion::Failed { reason, refund_due: false })
    }

    fn reason(&self) -> Reason {
        match self.ending {
            Some(Ending::Released(reason)) => reason,
            _ if self.tried => Reason::PaymentUnavailable,
            _ => Reason::ReservationExpired,
        }
    }

    fn attempt(&mut self, attempt: Attempt) -> Action {
        self.failures = 0;
        self.attempt_again(attempt)
    }

    fn attempt_again(&mut self, attempt: Attempt) -> Action {
        self.phase = Phase::Trying(attempt.clone());
        Action::Try(attempt)
    }

    fn pause(&mut self, attempt: Attempt, now: Timestamp) -> Action {
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Pausing(attempt, now + pause_after(self.failures));
        Action::Wait
    }

    fn conclude(&mut self, conclusion: Conclusion) -> Action {
        self.phase = Phase::Settled;
        Action::Write(conclusion)
    }

    fn settle(&mut self) -> Action {
        self.phase = Phase::Settled;
        Action::Wait
    }
}
