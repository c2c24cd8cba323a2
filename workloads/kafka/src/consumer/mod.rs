//! Reads events: given partitions, or those that a consumer group assigns.

mod catch_up_pacing;
mod committed_offsets;
mod decode;
pub(crate) mod group_member;
mod group_worker;
pub(crate) mod partition_reader;
mod polling_consumer;
mod rebalance;
pub(crate) mod record_cache;

pub(crate) use committed_offsets::CommittedOffset;
