//! Options of payments and notifications.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use kbnt_adapters::address;
use kbnt_adapters::payment::Rate;
use kbnt_domain::Money;
use reqwest::Url;

use super::values;

/// How customers pay: at a gateway over HTTP, or at a simulated one that takes no money.
#[derive(Debug, Args)]
#[command(next_help_heading = "Payment")]
pub(crate) struct PaymentOptions {
    /// Payments go to a simulated gateway, which takes no money
    #[arg(long = "payment-simulated", env = "KBNT_PAYMENT_SIMULATED", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) simulated: bool,
    /// The simulated gateway understands test tokens, by which a customer decides how a charge goes (docs/payment-gateway.md);
    /// `kbnt serve` does without saying so, `kbnt service` does not
    #[arg(long = "payment-test-tokens", env = "KBNT_PAYMENT_TEST_TOKENS", value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub(crate) test_tokens: Option<bool>,
    /// The simulated gateway declines amounts above this
    #[arg(long = "payment-decline-above", env = "KBNT_PAYMENT_DECLINE_ABOVE", value_name = "AMOUNT", value_parser = values::money)]
    pub(crate) decline_above: Option<Money>,
    /// The simulated gateway declines this share of orders, from 0 to 1
    #[arg(
        long = "payment-decline-rate",
        env = "KBNT_PAYMENT_DECLINE_RATE",
        default_value = "0",
        value_name = "SHARE"
    )]
    pub(crate) decline_rate: Rate,
    /// Which orders these are
    #[arg(long = "payment-seed", env = "KBNT_PAYMENT_SEED", default_value_t = 0, value_name = "NUMBER")]
    pub(crate) seed: u64,
    /// How long each request at the simulated gateway takes
    #[arg(long = "payment-delay", env = "KBNT_PAYMENT_DELAY", default_value = "0s", value_name = "TIME", value_parser = values::duration)]
    pub(crate) delay: Duration,
    /// The address of a real gateway (docs/payment-gateway.md is its contract)
    #[arg(long = "payment-url", env = "KBNT_PAYMENT_URL", value_name = "URL", value_parser = address::base)]
    pub(crate) url: Option<Url>,
    /// A file with the secret that the gateway wants as a bearer token
    #[arg(
        long = "payment-secret-file",
        env = "KBNT_PAYMENT_SECRET_FILE",
        value_name = "FILE",
        requires = "url"
    )]
    pub(crate) secret_file: Option<PathBuf>,
}

/// How customers are told. Without an address each notification is a log line.
#[derive(Debug, Args)]
#[command(next_help_heading = "Notification")]
pub(crate) struct NotificationOptions {
    /// A webhook that each notification is posted to
    #[arg(long, env = "KBNT_WEBHOOK_URL", value_name = "URL", value_parser = address::endpoint, requires = "webhook_secret_file")]
    pub(crate) webhook_url: Option<Url>,
    /// A file with the secret that signs what is posted: `whsec_` and base64, as standardwebhooks.com says
    #[arg(long, env = "KBNT_WEBHOOK_SECRET_FILE", value_name = "FILE", requires = "webhook_url")]
    pub(crate) webhook_secret_file: Option<PathBuf>,
}
