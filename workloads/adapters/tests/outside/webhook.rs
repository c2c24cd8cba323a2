//! Webhooks are signed, repeated under the same id, and given up only where repeating does not help.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use kbnt_adapters::notification::{WebhookConfig, WebhookNotifier};
use kbnt_application::ports::Notifier;
use kbnt_application::{NotificationOutcome, NotificationRequest, Outbox, Service};
use kbnt_domain::Reason;
use kbnt_domain::Timestamp;
use kbnt_domain::event::{CancelKind, OrderCancelled};
use serde_json::Value;
use sha2::Sha256;

use crate::server::{Does, Request, Server};
use crate::{hasty, order, user};

const KEY: &[u8] = b"a key of at least 16 bytes";

fn notifier(server: &Server) -> WebhookNotifier {
    let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY)).parse().unwrap();
    WebhookNotifier::new(WebhookConfig { url: server.url(), secret, outbound: hasty() }).unwrap()
}

fn notification() -> NotificationRequest {
    let mut outbox = Outbox::new(Service::Order, Timestamp::from_millis(1_790_000_000_000));
    let event = OrderCancelled {
        order: order("a"),
        user: user(),
        kind: CancelKind::Rejected,
        reason: Reason::InsufficientStock,
    };
    outbox.emit_named("an end", event);
    let about = Arc::clone(&outbox.take().0[0].message);
    NotificationRequest { order: order("a"), user: user(), template: "order-rejected", about }
}

/// Verifies the signature as a receiver does.
fn is_signed(request: &Request) -> bool {
    let (id, at) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{id}.{at}.{}", request.body).as_bytes());
    let signature = request.header("webhook-signature").unwrap().strip_prefix("v1,").unwrap();
    mac.verify_slice(&BASE64_STANDARD.decode(signature).unwrap()).is_ok()
}

#[tokio::test]
async fn a_notification_is_signed_and_says_what_it_is_about() {
    let server = Server::start([Does::Answer(204, String::new())]).await;
    let outcome = notifier(&server).notify(&notification()).await;
    assert_eq!(outcome, NotificationOutcome::Notified { channel: "webhook" });
    let request = server.requests().remove(0);
    assert!(is_signed(&request));
    let at: u64 = request.header("webhook-timestamp").unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(at) < 60);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    for (pointer, expected) in [
        ("/type", "order-rejected"),
        ("/data/orderId", order("a").to_string().as_str()),
        ("/data/userId", "USER-1"),
        ("/data/event/eventName", "OrderCancelledEvent"),
        ("/data/event/payload/reason", "INSUFFICIENT_STOCK"),
    ] {
        assert_eq!(body.pointer(pointer).unwrap(), expected, "{pointer}");
    }
    assert_eq!(request.header("webhook-id"), body.pointer("/data/event/eventId").unwrap().as_str());
}

#[tokio::test]
async fn repetitions_carry_the_same_id_and_help_where_they_can() {
    let notified = NotificationOutcome::Notified { channel: "webhook" };
    for does in [
        Does::Hang,
        Does::Reset,
        Does::Nonsense,
        Does::Flood,
        Does::HalfAnswer(200, String::new()),
        Does::Answer(500, String::new()),
        Does::Answer(429, String::new()),
    ] {
        let server = Server::start([does.clone(), Does::Answer(200, String::new())]).await;
        assert_eq!(notifier(&server).notify(&notification()).await, notified, "{does:?}");
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "{does:?}");
        assert!(requests.iter().all(is_signed), "{does:?}");
        assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    }
}

#[tokio::test]
async fn what_will_not_get_better_is_given_up() {
    for (does, again) in [
        (vec![Does::Answer(404, String::new())], false),
        (vec![Does::Answer(410, String::new())], false),
        (vec![Does::Answer(301, String::new())], false),
        (vec![Does::Answer(503, String::new()); 3], true),
        (vec![Does::Hang; 3], true),
    ] {
        let server = Server::start(does.clone()).await;
        let outcome = notifier(&server).notify(&notification()).await;
        assert!(
            matches!(outcome, NotificationOutcome::NotNotified { retry, .. } if retry == again),
            "{does:?}: {outcome:?}"
        );
        assert_eq!(server.requests().len(), does.len(), "{does:?}");
    }
}
