//! Reads events: given partitions, or as a member of a service's consumer group.

pub(crate) mod catch_up_pacing;
mod committed_offsets;
mod decode;
pub(crate) mod group_member;
mod group_worker;
pub(crate) mod partition_reader;
mod polling_consumer;
pub(crate) mod record_cache;
