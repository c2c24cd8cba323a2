//! The outside world: one payment gateway and one channel for notifications.

use async_trait::async_trait;
use kbnt_adapters::notification::{LogNotifier, WebhookConfig, WebhookNotifier, WebhookSecret};
use kbnt_adapters::outbound::OutboundConfig;
use kbnt_adapters::payment::{HttpGateway, HttpGatewayConfig, SimulatedGateway, SimulatedRules};
use kbnt_application::ports::{Notifier, PaymentGateway};
use kbnt_application::{Effect, EffectOutcome};
use kbnt_runtime::EffectPerformer;

use super::files;
use crate::cli::{NotificationOptions, PaymentOptions};
use crate::failure::Failure;

/// Performs every effect of every machine.
pub(crate) struct Effects {
    gateway: Box<dyn PaymentGateway>,
    notifier: Box<dyn Notifier>,
}

impl Effects {
    /// No money and no mail: a simulated gateway with these rules, and log lines.
    pub(crate) fn simulated(rules: SimulatedRules) -> Self {
        Self { gateway: Box::new(SimulatedGateway::new(rules)), notifier: Box::new(LogNotifier) }
    }

    /// According to the options. `test_tokens` is the default for whether the simulated gateway understands
    /// test tokens.
    pub(crate) fn of(
        payment: &PaymentOptions,
        test_tokens: bool,
        notification: &NotificationOptions,
    ) -> Result<Self, Failure> {
        Ok(Self { gateway: gateway(payment, test_tokens)?, notifier: notifier(notification)? })
    }
}

fn gateway(options: &PaymentOptions, test_tokens: bool) -> Result<Box<dyn PaymentGateway>, Failure> {
    let Some(url) = options.url.clone() else {
        let rules = SimulatedRules {
            decline_above: options.decline_above,
            decline_rate: options.decline_rate,
            seed: options.seed,
            delay: options.delay,
            test_tokens: options.test_tokens.unwrap_or(test_tokens),
        };
        return Ok(Box::new(SimulatedGateway::new(rules)));
    };
    if options.simulated {
        let both = "--payment-simulated and --payment-url: payments go to one gateway";
        return Err(Failure::Options(both.to_owned()));
    }
    let secret = options.secret_file.as_deref().map(files::secret).transpose()?;
    let config = HttpGatewayConfig { url, secret, outbound: OutboundConfig::default() };
    Ok(Box::new(HttpGateway::new(config)?))
}

fn notifier(options: &NotificationOptions) -> Result<Box<dyn Notifier>, Failure> {
    let (Some(url), Some(path)) = (options.webhook_url.clone(), options.webhook_secret_file.as_deref())
    else {
        return Ok(Box::new(LogNotifier));
    };
    let secret: WebhookSecret =
        files::secret(path)?.parse().map_err(|error| files::malformed(path, &error))?;
    let config = WebhookConfig { url, secret, outbound: OutboundConfig::default() };
    Ok(Box::new(WebhookNotifier::new(config)?))
}

#[async_trait]
impl EffectPerformer for Effects {
    async fn perform(&self, effect: &Effect) -> EffectOutcome {
        match effect {
            Effect::Payment(request) => self.gateway.perform(request).await.into(),
            Effect::Notification(request) => self.notifier.notify(request).await.into(),
        }
    }

    fn takes_place(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Payment(request) => self.gateway.takes_place(request),
            Effect::Notification(_) => true,
        }
    }
}
