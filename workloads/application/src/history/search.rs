//! Searches over the history: which orders, and one page of them. The rules are the same for every store.

use std::fmt;
use std::str::FromStr;

use kbnt_domain::order::OrderStatus;
use kbnt_domain::{Money, ProductId, Reason, Timestamp, UserId};
use thiserror::Error;

use super::StoredOrder;
use crate::projections::{Cursor, OrderView, Page};

/// Orders that are looked at for one page, so that no search takes long: then the page ends, and its cursor says where to go on.
pub const LOOKS_MOST: usize = 5_000;

/// Which orders are asked for. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Whose.
    pub user: Option<UserId>,
    /// With this product in the basket.
    pub product: Option<ProductId>,
    /// Where they stand.
    pub status: Option<OrderStatus>,
    /// Why they were not confirmed.
    pub reason: Option<Reason>,
    /// Placed then or later.
    pub from: Option<Timestamp>,
    /// Placed before.
    pub to: Option<Timestamp>,
    /// Costing so much or more, in whatever currency.
    pub least: Option<Amount>,
    /// Costing so much or less.
    pub most: Option<Amount>,
}

impl Filter {
    /// Whether the order is asked for; one that was not placed never is.
    pub fn admits(&self, stored: &StoredOrder) -> bool {
        let entry = &stored.entry;
        let Some(placed) = &entry.placed else { return false };
        let amount = entry.amount.map(Amount::of);
        self.user.as_ref().is_none_or(|user| *user == placed.user)
            && self.product.as_ref().is_none_or(|product| stored.products.contains(product))
            && self.status.is_none_or(|status| status == entry.status)
            && self.reason.is_none_or(|reason| Some(reason) == entry.reason)
            && self.from.is_none_or(|from| placed.at >= from)
            && self.to.is_none_or(|to| placed.at < to)
            && self.least.is_none_or(|least| amount.is_some_and(|amount| amount >= least))
            && self.most.is_none_or(|most| amount.is_some_and(|amount| amount <= most))
    }
}

/// A decimal number to compare amounts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

/// Decimal places of an [`Amount`]: no currency has more.
const PLACES: usize = 4;

/// The most digits before the point, as in prices.
const DIGITS_MOST: usize = 16;

/// The text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "decimal text such as 599.99, with at most {DIGITS_MOST} digits before the point and {PLACES} after it"
)]
pub struct InvalidAmount;

impl Amount {
    /// The amount without its currency.
    pub fn of(money: Money) -> Self {
        let missing = PLACES.saturating_sub(usize::from(money.currency().places()));
        Self((0..missing).fold(i128::from(money.minor()), |value, _| value * 10))
    }
}

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(InvalidAmount),
            None => (text, ""),
        };
        let fits = (1..=DIGITS_MOST).contains(&whole.len()) && fraction.len() <= PLACES;
        if !fits || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(InvalidAmount);
        }
        format!("{whole}{fraction:0<PLACES$}").parse().map(Self).map_err(|_| InvalidAmount)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_i128.pow(4);
        write!(f, "{}.{:0PLACES$}", self.0 / unit, self.0 % unit)
    }
}

/// One page of a search, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Which orders.
    pub filter: Filter,
    /// The most orders of the page.
    pub limit: usize,
    /// Where the page before it ended.
    pub after: Option<Cursor>,
}

/// Gathers a page from the orders after [`Search::after`], which a store offers in the order of the list.
#[derive(Debug)]
pub struct Gathered {
    search: Search,
    looks: usize,
    orders: Vec<OrderView>,
    /// The last order that is done with.
    done: Option<Cursor>,
    more: bool,
}

impl Gathered {
    /// Nothing yet.
    pub const fn new(search: Search) -> Self {
        Self { search, looks: 0, orders: Vec::new(), done: None, more: false }
    }

    /// Takes the next order, if it is one of the page; whether the store should offer another one.
    pub fn offer(&mut self, stored: &StoredOrder) -> bool {
        let Some(cursor) = stored.cursor() else { return true };
        let admitted = self.search.filter.admits(stored);
        if self.looks >= LOOKS_MOST || admitted && self.orders.len() >= self.search.limit {
            self.more = true;
            return false;
        }
        self.looks += 1;
        self.done = Some(cursor);
        if admitted {
            self.orders.extend(stored.entry.view(stored.order));
        }
        true
    }

    /// The page. One that ended because the store had looked at enough may have few orders, or none.
    pub fn page(self) -> Page {
        Page { orders: self.orders, next: self.done.filter(|_| self.more) }
    }
}
