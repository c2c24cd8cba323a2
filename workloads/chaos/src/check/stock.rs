//! Units: received, held and gone.

use std::collections::{BTreeMap, HashMap};

use super::{Event, Id, Item, Rule, Truth, Violation};

/// All movements of stock.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// Units ever received of a product, by source.
    received: BTreeMap<String, BTreeMap<String, u64>>,
    /// What each reservation holds, until it ends.
    held: HashMap<Id, Vec<Item>>,
    confirmed: BTreeMap<String, u64>,
    /// When units of a product became available, or ceased to be, as far as that is not in `available` yet.
    moves: Vec<Move>,
    available: HashMap<String, i128>,
    /// The first time at which each product was, and by how much.
    oversold: BTreeMap<String, (i128, String)>,
    /// The time of the newest move, and what that was at the turn before and at the one before that.
    newest: [String; 3],
}

/// Sorts as the writers decided: one after the other, and each by its own clock, which may be off. What frees units comes
/// first within a millisecond.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    term: u64,
    at: String,
    debit: bool,
    product: String,
    units: u64,
}

impl Stock {
    pub(super) fn take(&mut self, event: &Event) {
        let payload = &event.payload;
        match event.name.as_str() {
            "StockDeclaredEvent" => self.declared(event),
            "VirtualStockReservedEvent" => {
                self.record(event, &payload.items, true);
                if let Some(reservation) = payload.reservation_id {
                    self.held.insert(reservation, payload.items.clone());
                }
            }
            "ReservationConfirmedEvent" => {
                let items = payload.reservation_id.and_then(|id| self.held.remove(&id));
                for Item { product_id, quantity } in items.unwrap_or_default() {
                    *self.confirmed.entry(product_id).or_default() += quantity;
                }
            }
            "ReservationReleasedEvent" | "ReservationExpiredEvent" => {
                let items = payload.reservation_id.and_then(|id| self.held.remove(&id));
                self.record(event, &items.unwrap_or_default(), false);
            }
            _ => {}
        }
    }

    fn record(&mut self, event: &Event, items: &[Item], debit: bool) {
        let term = event.writer.as_ref().map_or(0, |writer| writer.term);
        if event.timestamp > self.newest[0] {
            self.newest[0].clone_from(&event.timestamp);
        }
        self.moves.extend(items.iter().map(|item| Move {
            term,
            at: event.timestamp.clone(),
            debit,
            product: item.product_id.clone(),
            units: item.quantity,
        }));
    }

    fn declared(&mut self, event: &Event) {
        let payload = &event.payload;
        let (Some(product), Some(source), Some(received)) =
            (&payload.product_id, &payload.source, payload.received)
        else {
            return;
        };
        let sources = self.received.entry(product.clone()).or_default();
        let before = sources.insert(source.clone(), received).unwrap_or(0);
        let item = Item { product_id: product.clone(), quantity: received.abs_diff(before) };
        self.record(event, &[item], received < before);
    }

    /// Adds up what was moved until two turns ago: whatever comes is later than that.
    pub(super) fn turn(&mut self) {
        let [newest, before, limit] = &self.newest;
        let (old, young) = std::mem::take(&mut self.moves).into_iter().partition(|of| of.at < *limit);
        self.newest = [newest.clone(), newest.clone(), before.clone()];
        self.moves = young;
        self.add_up(old);
    }

    fn add_up(&mut self, mut moves: Vec<Move>) {
        moves.sort_unstable();
        for Move { at, debit, product, units, .. } in moves {
            let level = self.available.entry(product.clone()).or_default();
            *level += if debit { -i128::from(units) } else { i128::from(units) };
            if *level < 0 {
                self.oversold.entry(product).or_insert((*level, at));
            }
        }
    }

    pub(super) fn check(mut self, truth: &Truth, violations: &mut Vec<Violation>) {
        let moves = std::mem::take(&mut self.moves);
        self.add_up(moves);
        for (product, (level, at)) in &self.oversold {
            let detail = format!("{product}: {level} available at {at}");
            violations.push(Violation { rule: Rule::NotOversold, detail });
        }
        for (product, shown) in &truth.levels {
            let received: u64 = self.received.get(product).into_iter().flat_map(BTreeMap::values).sum();
            let gone = self.confirmed.get(product).copied().unwrap_or(0);
            let held = self.held.values().flatten().filter(|item| item.product_id == *product);
            let follows = (received.saturating_sub(gone), held.map(|item| item.quantity).sum::<u64>());
            if gone > received {
                let detail = format!("{product}: {gone} sold of {received}");
                violations.push(Violation { rule: Rule::NotOversold, detail });
            }
            if *shown != follows {
                let detail = format!(
                    "{product}: shown (real, reserved) {shown:?}, and {follows:?} follow from the log"
                );
                violations.push(Violation { rule: Rule::Shown, detail });
            }
        }
    }
}
