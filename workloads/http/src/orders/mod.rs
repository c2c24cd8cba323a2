//! Orders: placing, reading, cancelling and listing.

mod admission;
mod cancel;
mod history;
mod in_hand;
mod list;
mod place;
mod underway;
mod views;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use kbnt_application::ports::{Clock, EventLog, History, LogError, ReadModel};
use kbnt_application::projections::{OrderView, Page};
use kbnt_application::{Append, Outbox, Position, Service};
use kbnt_domain::order::OrderStatus;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dto::{OrderBody, OrderPage, OrderStatusText, TimelineEntry};
use super::problem::{Code, Problem, log_failed};
use super::shares::Shares;
use kbnt_wire::text::rfc3339;

pub use in_hand::{InHand, ORDERS_IN_HAND};
pub(super) use list::unknown;
pub use views::OrderViews;

/// How long an order may take into the log and back before the response says that its outcome is unknown.
const READ_BACK_WAIT: Duration = Duration::from_secs(15);

/// The dependencies of these routes.
#[derive(Clone)]
pub struct OrderApi {
    /// The log that takes commands.
    pub log: Arc<dyn EventLog>,
    /// The log that event streams read: a position that a client names proves nothing about the log.
    pub events: Arc<dyn EventLog>,
    /// The read models.
    pub views: Arc<dyn ReadModel<OrderViews>>,
    /// All orders, if they are kept; without it, those that `views` shows.
    pub history: Option<Arc<dyn History>>,
    /// The clock for commands.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when nothing new is accepted any more: it ends event streams and waits.
    pub shutdown: CancellationToken,
    /// Limits of concurrent event streams.
    pub streams: Shares,
    /// Limits of orders that have not ended.
    pub in_hand: InHand,
}

impl std::fmt::Debug for OrderApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderApi").finish_non_exhaustive()
    }
}

/// The routes of order-service.
pub(super) fn routes(api: OrderApi) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(list::list_orders, place::place_order))
        .routes(routes!(list::order_summary))
        .routes(routes!(list::get_order, cancel::cancel_order))
        .routes(routes!(super::events::order_events))
        .routes(routes!(super::events::all_events))
        .with_state(api)
}

impl OrderApi {
    /// Refuses until the log is folded.
    pub(super) fn check_ready(&self) -> Result<(), Problem> {
        if let Some(damage) = self.views.damage() {
            return Err(Problem::new(Code::LogDamaged, damage.to_string()));
        }
        if self.views.is_ready() && !self.shutdown.is_cancelled() {
            Ok(())
        } else {
            Err(Problem::new(Code::NotReady, "the log is not folded yet"))
        }
    }

    /// The single record that `write` emits.
    fn command(&self, write: impl FnOnce(&mut Outbox)) -> Vec<Append> {
        let mut outbox = Outbox::new(Service::Order, self.clock.now());
        write(&mut outbox);
        outbox.take().0
    }

    /// Writes a command and returns once it is read back.
    async fn append(&self, command: Vec<Append>) -> Result<Position, Problem> {
        let written = async {
            let positions = self.log.append(command).await.map_err(|error| not_written(&error))?;
            let unknown = || Problem::new(Code::OutcomeUnknown, "the log did not say where the order lies");
            let position = positions.first().copied().ok_or_else(unknown)?;
            let folded = self.views.read(|views| views.once_folded(position));
            // An error means that the process is stopping; the order is in the log all the same.
            if let Some(folded) = folded
                && folded.await.is_err()
            {
                return Err(Problem::new(Code::OutcomeUnknown, "the service is stopping"));
            }
            Ok(position)
        };
        tokio::time::timeout(READ_BACK_WAIT, written).await.unwrap_or_else(|_| {
            let detail = "the log did not answer in time: repeat the request with the same Idempotency-Key";
            Err(Problem::new(Code::OutcomeUnknown, detail))
        })
    }
}

fn not_written(error: &LogError) -> Problem {
    match error {
        LogError::Unavailable(_) => log_failed(Code::OutcomeUnknown, error),
        LogError::Damaged(_) => log_failed(Code::LogDamaged, error),
        // These come before a record is written, or instead of it.
        LogError::NoSuchPartition { .. } | LogError::Refused(_) | LogError::TooLarge(_) => {
            log_failed(Code::NotReady, error)
        }
    }
}

impl From<OrderStatus> for OrderStatusText {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Self::Pending,
            OrderStatus::Confirmed => Self::Confirmed,
            OrderStatus::Rejected => Self::Rejected,
            OrderStatus::Cancelled => Self::Cancelled,
        }
    }
}

impl From<&Page> for OrderPage {
    fn from(page: &Page) -> Self {
        Self {
            items: page.orders.iter().map(Into::into).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()),
        }
    }
}

impl From<&OrderView> for OrderBody {
    fn from(view: &OrderView) -> Self {
        let entry = |entry: &kbnt_application::projections::TimelineEntry| TimelineEntry {
            event_name: entry.event_name,
            topic: entry.at.topic.name(),
            partition: entry.at.partition,
            offset: entry.at.offset,
            timestamp: rfc3339(entry.timestamp),
        };
        Self {
            order_id: view.order.to_string(),
            user_id: view.user.to_string(),
            status: view.status.into(),
            reason: view.reason.map(kbnt_domain::Reason::code),
            reservation_id: view.reservation.map(|id| id.to_string()),
            amount: view.amount.map(Into::into),
            timeline: view.timeline.iter().map(entry).collect(),
        }
    }
}
