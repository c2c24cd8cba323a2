//! Options of what services keep on disk for a short start.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kbnt_adapters::objects::Address;

use super::place::PlaceParser;
use super::values;

/// Above these options in the help.
const HEADING: &str = "State on disk";

/// Where the state lies.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct StateOptions {
    /// Keep the last two snapshots of inventory-service, user-service or audit-service in this directory, of this process alone, and
    /// begin with them; without it every start reads all of the service's own topic
    #[arg(long, env = "KBNT_SNAPSHOT_DIR", value_name = "DIR")]
    pub(crate) snapshot_dir: Option<PathBuf>,
    /// Keep in this directory, of this process alone, the closed orders of inventory-service's window that are more than 32,768;
    /// without it all of them are in memory
    #[arg(long, env = "KBNT_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// How much may be kept there: whoever has given the directory puts an end to the process if it is more. Only
    /// `kbnt_archive_room_bytes` goes by it
    #[arg(long, env = "KBNT_STATE_LIMIT", value_name = "BYTES", requires = "state_dir")]
    pub(crate) state_limit: Option<u64>,
    /// Keep the newest three checkpoints in this place, which outlives the process and its disk, and begin with them where nothing on
    /// disk is of use: a directory, or `s3://BUCKET/PREFIX`. A checkpoint is a snapshot with the closed orders that it goes with, and
    /// needs --snapshot-dir; of order-service it is the history, and needs --history-dir
    #[arg(long, env = "KBNT_CHECKPOINT_TO", value_name = "PLACE", value_parser = PlaceParser)]
    pub(crate) checkpoint_to: Option<Address>,
    /// Keep a checkpoint at most this often, all processes of the service together
    #[arg(long, env = "KBNT_CHECKPOINT_INTERVAL", default_value = "5m", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) checkpoint_interval: Duration,
    #[command(flatten)]
    pub(crate) snapshots: SnapshotOptions,
}

/// How snapshots are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct SnapshotOptions {
    /// Take a snapshot at most this often
    #[arg(long, env = "KBNT_SNAPSHOT_INTERVAL", default_value = "15s", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) snapshot_interval: Duration,
}
