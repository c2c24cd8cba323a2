//! Options of the clock.

use std::time::Duration;

use clap::Args;

use super::values;

/// How far the system's clock is trusted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clock")]
pub(crate) struct ClockOptions {
    /// How far the system's clock may be set, from 1s to 1h: beyond that nothing is decided by time until it is put right
    #[arg(long = "clock-jump-limit", env = "KBNT_CLOCK_JUMP_LIMIT", default_value = "5m", value_name = "TIME", value_parser = values::clock_jump_limit)]
    pub(crate) jump_limit: Duration,
}
