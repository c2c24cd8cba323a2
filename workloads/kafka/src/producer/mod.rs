//! Writes records: events with an idempotent producer, and log lines with one that may drop them.

pub(crate) mod event_producer;
pub(crate) mod log_line_producer;
pub(crate) mod outgoing_record;
pub(crate) mod partition_queues;
mod polled_producer;
