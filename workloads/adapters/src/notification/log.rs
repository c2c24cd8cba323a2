//! Notifies customers by a log line, for shops without another channel.

use async_trait::async_trait;
use kbnt_application::ports::Notifier;
use kbnt_application::{NotificationOutcome, NotificationRequest};

/// The name of this channel.
const CHANNEL: &str = "log";

/// Writes a log line for each notification.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, request: &NotificationRequest) -> NotificationOutcome {
        let NotificationRequest { order, user, template, .. } = request;
        tracing::info!(operation = "customer-notified", %order, %user, template, "the customer is told");
        NotificationOutcome::Notified { channel: CHANNEL }
    }
}
