//! Turns the reports of a runtime into metrics.

use std::time::Duration;

use kbnt_application::event::{DeadLetterStored, RecordedEvent};
use kbnt_application::machine::Halt;
use kbnt_application::ports::{LogError, Unreadable};
use kbnt_application::{
    Append, Delivered, Effect, EffectOutcome, NotificationOutcome, PaymentOutcome, PaymentRequest, Position,
    Service, Topic,
};
use kbnt_domain::event::CancelKind;
use kbnt_domain::{Event, OrderId, Timestamp};

use super::{Metrics, OPEN_MOST, gauge};
use kbnt_application::ports::{HistoryReport, Observer, SnapshotEvent, Stage};

impl Observer for Metrics {
    fn handled(&self, service: Service, record: &Delivered, now: Timestamp) {
        self.machines.events_processed.with_label_values(&[record.at.topic.name()]).inc();
        self.machines
            .event_age
            .with_label_values(&[service.name()])
            .observe(seconds(now.since(record.message.at)));
        if let (Service::Order, Some(Event::UserValidated(event))) =
            (service, record.message.event.business())
        {
            let mut placed = self.placed();
            if placed.len() < OPEN_MOST {
                placed.insert(event.order, event.placed_at);
            }
        }
    }

    fn batch(&self, service: Service, inputs: usize, steps: Duration, append: Duration) {
        let labels = &[service.name()];
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        self.machines.batch_records.with_label_values(labels).observe(inputs as f64);
        self.machines.step_duration.with_label_values(labels).observe(steps.as_secs_f64());
        self.machines.append_duration.with_label_values(labels).observe(append.as_secs_f64());
    }

    fn appended(&self, _service: Service, record: &Append, at: Position) {
        self.machines.events_written.with_label_values(&[at.topic.name()]).inc();
        match &record.message.event {
            RecordedEvent::Business(Event::OrderCreated(event)) => {
                self.ended(event.order, "confirmed", record.message.at);
            }
            RecordedEvent::Business(Event::OrderCancelled(event)) => {
                let status = match event.kind {
                    CancelKind::Rejected => "rejected",
                    CancelKind::Cancelled => "cancelled",
                };
                self.ended(event.order, status, record.message.at);
            }
            RecordedEvent::DeadLetterStored(dead_letter) => self.dead_letter(dead_letter),
            _ => {}
        }
    }

    fn unreadable(&self, service: Service, record: &Unreadable) {
        self.machines.unreadable.with_label_values(&[service.name(), record.at.topic.name()]).inc();
        let at = record.at;
        tracing::error!(
            operation = "record-unreadable", service = service.name(), topic = at.topic.name(),
            partition = at.partition, offset = at.offset, reason = %record.reason,
            "a record cannot be understood and is passed over"
        );
    }

    fn fenced(&self, service: Service, _at: Position) {
        self.machines.fenced.with_label_values(&[service.name()]).inc();
    }

    fn effect(&self, service: Service, effect: &Effect, outcome: &EffectOutcome, took: Duration) {
        log_payment_trouble(service, effect, outcome);
        let outcome = outcome_name(outcome);
        let request = match effect {
            Effect::Payment(request) => request,
            Effect::Notification(_) => {
                self.edges.notification_duration.with_label_values(&[outcome]).observe(took.as_secs_f64());
                return;
            }
        };
        let operation = match request {
            PaymentRequest::Charge { .. } => "charge",
            PaymentRequest::Query { .. } => "query",
            PaymentRequest::Close { .. } => "close",
            PaymentRequest::Refund { .. } => "refund",
        };
        self.edges.payment_duration.with_label_values(&[operation, outcome]).observe(took.as_secs_f64());
    }

    fn lag(&self, service: Service, topic: Topic, partition: u32, records: u64) {
        let labels = &[service.name(), topic.name(), &partition.to_string()];
        self.machines.consumer_lag.with_label_values(labels).set(gauge(records));
    }

    fn clock(&self, service: Service, off_by: Option<i64>) {
        let name = service.name();
        self.machines.clock_off.with_label_values(&[name]).set(i64::from(off_by.is_some()));
        if let Some(millis) = off_by {
            tracing::error!(
                operation = "clock-off",
                service = name,
                off_by_ms = millis,
                "the system's clock was set by more than it may be: nothing is decided until it is put right"
            );
        } else {
            tracing::warn!(
                operation = "clock-right",
                service = name,
                "the system's clock is right again: decisions go on"
            );
        }
    }

    fn stuck(&self, service: Service, orders: usize) {
        if service == Service::Payment {
            self.edges.payments_stuck.set(gauge(orders as u64));
        }
    }

    fn recovered(&self, service: Service, partition: u32, records: u64, took: Duration) {
        let labels = &[service.name(), &partition.to_string()];
        self.machines.replay_seconds.with_label_values(labels).set(took.as_secs_f64());
        self.machines.replayed.with_label_values(labels).set(gauge(records));
        tracing::info!(
            operation = "partition-recovered",
            service = service.name(),
            partition,
            records,
            seconds = took.as_secs_f64(),
            "the state of a partition is folded"
        );
    }

    fn revoked(&self, service: Service, partition: u32) {
        for topic in service.inputs() {
            // An absent series needs no removal.
            let labels = &[service.name(), topic.name(), &partition.to_string()];
            let _ = self.machines.consumer_lag.remove_label_values(labels);
        }
        tracing::info!(
            operation = "partition-revoked",
            service = service.name(),
            partition,
            "a partition went to another process"
        );
    }

    fn unknown_note(&self, _service: Service, at: Position) {
        tracing::warn!(
            operation = "note-refused", %at,
            "the note of the commit does not say which records count from there on: it is found out from the log"
        );
    }

    fn retrying(&self, service: Service, stage: Stage, error: &LogError) {
        let stage = match stage {
            Stage::Read => "read",
            Stage::Append => "append",
            Stage::Commit => "commit",
        };
        self.machines.log_retries.with_label_values(&[service.name(), stage]).inc();
        tracing::warn!(
            operation = "log-retry", service = service.name(), stage, %error,
            "the log could not; it is tried again"
        );
    }

    fn snapshot(&self, service: Service, report: &SnapshotEvent<'_>) {
        self.snapshots.report(service, report);
    }

    fn history(&self, report: &HistoryReport<'_>) {
        self.history.report(report);
    }

    fn elected(&self, service: Service, term: u64) {
        self.business.writer_term.set(gauge(term));
        tracing::info!(
            operation = "writer-elected",
            service = service.name(),
            term,
            "this is the elected writer"
        );
    }

    fn halted(&self, service: Service, why: &Halt) {
        let reason = match why {
            Halt::Fenced(_) => "fenced",
            Halt::Broken(_) => "broken",
            Halt::Archive(_) => "archive",
        };
        self.machines.halted.with_label_values(&[service.name(), reason]).inc();
        tracing::error!(
            operation = "halted",
            service = service.name(),
            reason,
            ?why,
            "the service stops itself"
        );
    }
}

impl Metrics {
    fn dead_letter(&self, dead_letter: &DeadLetterStored) {
        let (topic, partition, offset) = &dead_letter.location;
        self.machines.dead_letters.with_label_values(&[topic]).inc();
        tracing::warn!(
            operation = "dead-letter-stored", service = Service::Audit.name(), topic, partition, offset,
            reason = %dead_letter.reason, whole = dead_letter.whole, bytes = dead_letter.value_bytes,
            "a record that nobody understands is kept: kbnt dlq show {topic}/{partition}@{offset}"
        );
    }

    fn ended(&self, order: OrderId, status: &'static str, at: Timestamp) {
        self.business.orders_total.with_label_values(&[status]).inc();
        if let Some(placed) = self.placed().remove(&order) {
            self.business.order_duration.with_label_values(&[status]).observe(seconds(at.since(placed)));
        }
    }
}

/// Logs the order whose payment went wrong, and how: the metrics only count.
fn log_payment_trouble(service: Service, effect: &Effect, outcome: &EffectOutcome) {
    let order = effect.order();
    let EffectOutcome::Payment(
        PaymentOutcome::NotCharged { detail }
        | PaymentOutcome::Unknown { detail }
        | PaymentOutcome::ChargedUnnamed { detail }
        | PaymentOutcome::Senseless { detail }
        | PaymentOutcome::NotRefunded { detail },
    ) = outcome
    else {
        return;
    };
    let outcome = outcome_name(outcome);
    tracing::warn!(
        operation = "payment-uncertain", service = service.name(), order = %order, outcome, %detail,
        "an attempt at the payment gateway did not go as it should"
    );
}

/// The outcome's value in labels.
const fn outcome_name(outcome: &EffectOutcome) -> &'static str {
    match outcome {
        EffectOutcome::Payment(outcome) => match outcome {
            PaymentOutcome::Charged { .. } => "charged",
            PaymentOutcome::ChargedUnnamed { .. } => "charged_unnamed",
            PaymentOutcome::Declined => "declined",
            PaymentOutcome::NotCharged { .. } => "not_charged",
            PaymentOutcome::Overdue => "overdue",
            PaymentOutcome::Unknown { .. } => "unknown",
            PaymentOutcome::Senseless { .. } => "senseless",
            PaymentOutcome::Closed => "closed",
            PaymentOutcome::Refunded => "refunded",
            PaymentOutcome::NotRefunded { .. } => "not_refunded",
        },
        EffectOutcome::Notification(outcome) => match outcome {
            NotificationOutcome::Notified { .. } => "notified",
            NotificationOutcome::NotNotified { .. } => "not_notified",
        },
    }
}

fn seconds(span: kbnt_domain::Span) -> f64 {
    Duration::from_millis(span.as_millis()).as_secs_f64()
}
