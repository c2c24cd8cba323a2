//! Options of the history of orders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kbnt_adapters::history::SqliteHistory;
use kbnt_domain::Span;
use kbnt_runtime::HistoryPlan;

use super::values;

/// Above these options in the help.
pub(super) const HEADING: &str = "History of order-service";

/// The history of orders.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct HistoryOptions {
    /// Drop orders that have ended from the history this long after they were placed, such as 365d; without it they stay for ever
    #[arg(long, env = "KBNT_HISTORY_RETENTION", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) history_retention: Option<Duration>,
}

impl HistoryOptions {
    /// The history in `directory`.
    pub(crate) fn plan(&self, directory: PathBuf) -> HistoryPlan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        HistoryPlan {
            store: Arc::new(SqliteHistory::new(directory)),
            retention: self.history_retention.map(|time| Span::from_millis(millis(time))),
        }
    }
}
