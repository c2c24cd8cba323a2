//! Connects machines, log, gateways and API.

mod effects;
mod files;
mod grants;
mod ledger_state;
mod parts;
mod places;
mod process;
mod snapshots;

pub(crate) use effects::Effects;
pub(crate) use files::{kafka_config, seed, users, wanted_topics};
pub(crate) use grants::Grants;
pub(crate) use ledger_state::LedgerState;
pub(crate) use places::{place_to_read, place_to_write};
pub(crate) use process::{Process, ProcessParts, bind, spans};
pub(crate) use snapshots::{plan_in_data_dir, plan_of, with_checkpoints};
