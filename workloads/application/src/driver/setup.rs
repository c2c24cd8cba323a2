//! What a driver is given.

use std::sync::Arc;
use std::time::Duration;

use kbnt_domain::Span;

use crate::machine::Effect;
use crate::ports::{Clock, Observer};

/// How long ago something was, by a clock that nobody can set.
pub type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How much a driver takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A machine that has so many orders or records in hand takes in no more.
    pub in_hand: usize,
    /// Records that one read may return.
    pub records: usize,
    /// Calls that one batch takes in.
    pub calls: usize,
    /// How many effects may be under way at once.
    pub places: usize,
    /// How far apart batches should be while there is plenty to do.
    pub pace: Span,
}

impl Default for Limits {
    /// 10,000 in hand is far more than a gateway answers at a time, and at some kilobytes each far less than a process may have.
    fn default() -> Self {
        Self { in_hand: 10_000, records: 1_000, calls: 256, places: 256, pace: Span::default() }
    }
}

/// What a driver works with.
pub struct Setup {
    /// Its time.
    pub clock: Arc<dyn Clock>,
    /// And that of its pauses.
    pub stopwatch: Stopwatch,
    /// Who is told of its work.
    pub observer: Arc<dyn Observer>,
    /// How much it takes in.
    pub limits: Limits,
    /// Whether an effect takes one of the places for what is under way outside.
    pub takes_place: Box<dyn Fn(&Effect) -> bool + Send>,
    /// How often the machine takes a snapshot, if it begins with one and keeps any.
    pub snapshots: Option<Duration>,
    /// Whether a sole writer stands by until it is its turn.
    pub led: bool,
}
