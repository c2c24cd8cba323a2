//! Tells customers by writing a log line; for shops that have no other way yet.

use async_trait::async_trait;
use kbnt_application::ports::Notifier;
use kbnt_application::{Effect, EffectOutcome};

/// How this way is called.
const CHANNEL: &str = "log";

/// Writes a log line for each notification.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogNotifier;

#[async_trait]
impl Notifier for LogNotifier {
    async fn notify(&self, effect: &Effect) -> EffectOutcome {
        let Effect::Notify { order, user, template, .. } = effect else {
            let detail = "not a notification".to_owned();
            return EffectOutcome::NotNotified { channel: CHANNEL, detail, retry: false };
        };
        tracing::info!(operation = "customer-notified", %order, %user, template, "the customer is told");
        EffectOutcome::Notified { channel: CHANNEL }
    }
}
