//! What a run says at its end.

use crate::check::{Figures, Violation};
use crate::failure::Failure;
use crate::system::show;

/// Violations that are shown.
const SHOWN: usize = 20;

/// Shows what was looked at, and what is wrong.
pub(crate) fn show_all(violations: &[Violation], figures: &Figures) -> Result<(), Failure> {
    show(format_args!(
        "{} orders acknowledged, {} in the log: {:?}; {} charges, {} of them refunded",
        figures.acknowledged, figures.orders, figures.ends, figures.charged, figures.refunded,
    ))?;
    show(format_args!(
        "{} events, {} of them repeated, {} of fenced writers; {} records that nobody can handle; {} links in the audit chain, \
         {} passed over",
        figures.events,
        figures.repeated,
        figures.fenced,
        figures.poisoned,
        figures.links,
        figures.passed_over
    ))?;
    for violation in violations.iter().take(SHOWN) {
        show(format_args!("VIOLATION {violation}"))?;
    }
    show(format_args!("{} violations", violations.len()))
}
