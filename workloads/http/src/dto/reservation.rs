//! Reservations.

use std::fmt;
use std::str::FromStr;

use kbnt_application::projections::InvalidCursor;
use kbnt_domain::stock::{Held, ReservationPlace, ReservationState, ReservationView};
use serde::Serialize;
use utoipa::ToSchema;

use super::text::MoneyBody;
use crate::problem::{Code, Problem};
use kbnt_wire::text::rfc3339;

/// The state of a reservation as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = ReservationState)]
pub(crate) enum ReservationStateText {
    /// Holds its units until its deadline.
    Reserved,
    /// Paid; its units have left the stock.
    Confirmed,
    /// Undone.
    Released,
    /// Its time was up.
    Expired,
}

impl From<ReservationState> for ReservationStateText {
    fn from(state: ReservationState) -> Self {
        match state {
            ReservationState::Reserved => Self::Reserved,
            ReservationState::Confirmed => Self::Confirmed,
            ReservationState::Released => Self::Released,
            ReservationState::Expired => Self::Expired,
        }
    }
}

/// Parses a state, for the query parameter `state`.
pub(crate) fn parse_state(text: &str) -> Option<ReservationState> {
    match text {
        "RESERVED" => Some(ReservationState::Reserved),
        "CONFIRMED" => Some(ReservationState::Confirmed),
        "RELEASED" => Some(ReservationState::Released),
        "EXPIRED" => Some(ReservationState::Expired),
        _ => None,
    }
}

/// One line of a reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReservationItem {
    product_id: String,
    quantity: u64,
    unit_price: MoneyBody,
}

/// Who holds what until when.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Reservation)]
pub(crate) struct ReservationBody {
    reservation_id: String,
    order_id: String,
    state: ReservationStateText,
    /// Why it was released.
    reason: Option<&'static str>,
    /// The customer; while the reservation is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// What it holds; while the reservation is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<ReservationItem>>,
    /// The sum over the items; while the reservation is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<MoneyBody>,
    /// The deadline, RFC 3339; while the reservation is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

impl From<&ReservationView> for ReservationBody {
    fn from(view: &ReservationView) -> Self {
        let held = view.held.as_ref();
        Self {
            reservation_id: view.reservation.to_string(),
            order_id: view.order.to_string(),
            state: view.state.into(),
            reason: view.reason.map(kbnt_domain::Reason::code),
            user_id: held.map(|held| held.user.to_string()),
            items: held.map(items),
            amount: held.map(|held| held.amount.into()),
            expires_at: held.map(|held| rfc3339(held.expires_at)),
        }
    }
}

fn items(held: &Held) -> Vec<ReservationItem> {
    held.lines
        .iter()
        .map(|line| ReservationItem {
            product_id: line.product.to_string(),
            quantity: line.units,
            unit_price: line.unit_price.into(),
        })
        .collect()
}

/// The position in a list of reservations, in the ledger of one writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReservationCursor {
    /// The writer's term.
    pub(crate) term: u64,
    pub(crate) place: ReservationPlace,
}

impl ReservationCursor {
    /// The place, if it belongs to the ledger of this term: each writer has its own ledger.
    pub(crate) fn place_in(self, term: u64) -> Result<ReservationPlace, Problem> {
        if self.term == term {
            return Ok(self.place);
        }
        Err(Problem::new(Code::CursorGone, "another writer has taken over since: begin with the first page"))
    }
}

impl fmt::Display for ReservationCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            ReservationPlace::Active(at) => write!(f, "{}-a-{at}", self.term),
            ReservationPlace::Closed(number) => write!(f, "{}-e-{number}", self.term),
        }
    }
}

impl FromStr for ReservationCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split('-');
        let (Some(term), Some(kind), Some(at), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidCursor);
        };
        let at = at.parse().map_err(|_| InvalidCursor)?;
        let place = match kind {
            "a" => ReservationPlace::Active(at),
            "e" => ReservationPlace::Closed(at),
            _ => return Err(InvalidCursor),
        };
        let cursor = Self { term: term.parse().map_err(|_| InvalidCursor)?, place };
        // Only the exact text that was given out.
        if cursor.to_string() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

/// One page of reservations.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReservationList)]
pub(crate) struct ReservationPage {
    items: Vec<ReservationBody>,
    /// For the next page; null on the last.
    next_cursor: Option<String>,
}

impl ReservationPage {
    pub(crate) fn new(views: &[ReservationView], next: Option<ReservationCursor>) -> Self {
        Self { items: views.iter().map(Into::into).collect(), next_cursor: next.map(|next| next.to_string()) }
    }
}
