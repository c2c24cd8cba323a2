//! Notification channels.

mod log;
mod webhook;

pub use log::LogNotifier;
pub use webhook::{InvalidSecret, WebhookConfig, WebhookNotifier, WebhookSecret};
