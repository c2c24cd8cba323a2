//! Options of stock and users.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use kbnt_domain::Span;

use super::values;

/// Stock and reservations.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inventory")]
pub(crate) struct InventoryOptions {
    /// How long a reservation holds, from 1s to 24h
    #[arg(long, env = "KBNT_RESERVATION_TTL", default_value = "15m", value_name = "TIME", value_parser = values::reservation_ttl)]
    pub(crate) reservation_ttl: Span,
    /// How long orders are remembered after they have ended, from 24h to 8760h of the log's time: a request that is repeated within it
    /// gets the answer of the first one, and a command that is older is refused. user-service must be given the same
    #[arg(long, env = "KBNT_CLOSED_ORDER_WINDOW", default_value = "24h", value_name = "TIME", value_parser = values::closed_order_window)]
    pub(crate) closed_order_window: Span,
    /// Available units below which stock is low, for products that name no threshold of their own
    #[arg(long, env = "KBNT_LOW_STOCK_THRESHOLD", default_value_t = 10, value_name = "UNITS")]
    pub(crate) low_stock_threshold: u64,
}

/// Who may order.
#[derive(Debug, Args)]
#[command(next_help_heading = "Users")]
pub(crate) struct UserOptions {
    /// Whether users that nobody registered may order
    #[arg(long, env = "KBNT_ALLOW_UNKNOWN_USERS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) allow_unknown_users: bool,
    /// Users to be registered at the start: JSON [{"userId", "name", "email"}]
    #[arg(long, env = "KBNT_USERS_FILE", value_name = "FILE")]
    pub(crate) users_file: Option<PathBuf>,
}
