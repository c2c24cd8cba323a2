//! Metrics of the archive of closed orders.

use prometheus::{IntCounter, IntGauge};

use super::gauge;
use super::registry::{Made, Registrar};

/// Metrics of the archive of closed orders.
#[derive(Debug)]
pub(super) struct Archive {
    bytes: IntGauge,
    room: IntGauge,
    failures: IntCounter,
}

impl Archive {
    pub(super) fn new(r: &mut Registrar) -> Made<Self> {
        Ok(Self {
            bytes: r.gauge("kbnt_archive_bytes", "Size of the archive of closed orders on disk.")?,
            room: r.gauge(
                "kbnt_archive_room_bytes",
                "What the archive of closed orders may still take on disk.",
            )?,
            failures: r.counter(
                "kbnt_archive_failures_total",
                "Times that closed orders could not be archived, or not be read back.",
            )?,
        })
    }

    pub(super) fn show(&self, bytes: Option<u64>, room: Option<u64>, failures: u64) {
        if let Some(bytes) = bytes {
            self.bytes.set(gauge(bytes));
        }
        if let Some(room) = room {
            self.room.set(gauge(room));
        }
        self.failures.inc_by(failures.saturating_sub(self.failures.get()));
    }
}
