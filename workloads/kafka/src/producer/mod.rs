//! Writes records: events with an idempotent producer, log lines with one that may drop them.

pub(crate) mod event_producer;
pub(crate) mod log_line_producer;
pub(crate) mod outgoing;
pub(crate) mod partition_queues;
pub(crate) mod polled_producer;
