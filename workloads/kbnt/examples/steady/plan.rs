//! When which order is due.

use std::time::Duration;

/// What a part of the load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The rate rises; nothing of it is measured.
    WarmUp,
    /// The rate that is measured.
    Usual,
    /// The same, while orders of before are placed again.
    Again,
    /// More than the services can carry.
    Overload,
    /// The usual rate after that.
    After,
}

/// A part of the load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) kind: Kind,
    /// Orders a second; of the warm-up, those at its end.
    pub(crate) rate: u32,
    pub(crate) seconds: u32,
}

impl Phase {
    /// While the rate rises evenly there are half as many orders as at the full rate.
    pub(crate) const fn orders(&self) -> u32 {
        let orders = self.rate * self.seconds;
        if matches!(self.kind, Kind::WarmUp) { orders / 2 } else { orders }
    }

    /// When an order of it is due, from its beginning.
    fn due(&self, number: u32) -> Duration {
        let (number, rate, seconds) = (f64::from(number), f64::from(self.rate), f64::from(self.seconds));
        Duration::from_secs_f64(match self.kind {
            Kind::WarmUp => (2.0 * number * seconds / rate).sqrt(),
            _ => number / rate,
        })
    }
}

/// An order that is to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    /// From the beginning of all.
    pub(crate) at: Duration,
}

/// All parts, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Plan(pub(crate) Vec<Phase>);

impl Plan {
    pub(crate) fn orders(&self) -> u32 {
        self.0.iter().map(Phase::orders).sum()
    }

    /// The number of the first order of a part, and when it is due, if there is such a part.
    pub(crate) fn begin(&self, kind: Kind) -> Option<(u32, Duration)> {
        let (mut first, mut begins) = (0, Duration::ZERO);
        for phase in &self.0 {
            if phase.kind == kind {
                return Some((first, begins));
            }
            first += phase.orders();
            begins += Duration::from_secs(phase.seconds.into());
        }
        None
    }

    /// All orders, in the sequence in which they are due.
    pub(crate) fn due(&self) -> impl Iterator<Item = Due> {
        let begins = self.0.iter().scan((0, Duration::ZERO), |(number, begins), phase| {
            let begin = (*number, *begins);
            *number += phase.orders();
            *begins += Duration::from_secs(phase.seconds.into());
            Some(begin)
        });
        self.0.iter().zip(begins).flat_map(|(phase, (first, begins))| {
            (0..phase.orders()).map(move |number| Due {
                number: first + number,
                kind: phase.kind,
                at: begins + phase.due(number),
            })
        })
    }
}
