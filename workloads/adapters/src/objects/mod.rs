//! Objects in a place that outlives processes and pods: a directory, or a part of a bucket.
//!
//! An object is written once and never overwritten. Each place has a mark that says what it is for, so that nobody takes
//! it for something else.

mod address;
mod bucket;
mod client;
mod mark;
mod numbered;
mod place;
mod reason;
#[cfg(test)]
mod tests;

use kbnt_application::ports::ErrorClass;
use thiserror::Error;

pub use address::{Address, BucketAddress, PlaceAddressError};
pub use bucket::{StoreSettings, StoreSettingsError};
pub(crate) use mark::Mark;
pub(crate) use numbered::{digits, numbered};
pub(crate) use place::Created;
pub use place::Place;
pub use reason::Reason;

/// Why a place cannot be used, or what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// It cannot be read or written.
    #[error("{place}: {reason}")]
    Failed {
        /// Which place, or object of it.
        place: String,
        /// Why.
        reason: Reason,
    },
    /// The store cannot be used with these settings.
    #[error(transparent)]
    Settings(#[from] StoreSettingsError),
    /// Two writers at the same time would spoil each other's work there.
    #[error(
        "{0}: the store overwrites objects that must not be overwritten (it does not know If-None-Match): use another one"
    )]
    Overwrites(String),
    /// Nobody may take one for the other.
    #[error("{place} is a place of {found}, and cannot be one of {wanted}, too: take another one")]
    OfElse {
        /// The place.
        place: String,
        /// What it has.
        found: &'static str,
        /// What it was taken for.
        wanted: &'static str,
    },
    /// What is in the place is not what was written.
    #[error("{object} is damaged: {reason}")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl PlaceError {
    /// What to do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Failed { reason, .. } => reason.class,
            _ => ErrorClass::Permanent,
        }
    }

    /// Whether an object is not what was written.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// Whether an object is not there.
    pub(crate) const fn is_missing(&self) -> bool {
        matches!(self, Self::Failed { reason, .. } if reason.is_missing)
    }
}
