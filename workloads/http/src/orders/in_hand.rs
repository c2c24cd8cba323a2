//! Limits the orders in progress: beyond the limit a client would wait in vain. No user can take all places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbnt_domain::{OrderId, UserId};

use super::OrderApi;
use crate::problem::{Code, Problem};

/// The default limit: what a process handles in a few seconds.
pub const ORDERS_IN_HAND: u64 = 10_000;

/// Orders in progress, with their limit. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InHand {
    most: u64,
    /// Orders on their way into the log and back, which the read model does not show yet.
    placing: Arc<Mutex<InTransit>>,
}

#[derive(Debug, Default)]
struct InTransit {
    all: u64,
    by: HashMap<UserId, u64>,
}

impl InHand {
    /// With this limit.
    pub fn new(most: u64) -> Self {
        Self { most, placing: Arc::default() }
    }

    fn placing(&self) -> MutexGuard<'_, InTransit> {
        self.placing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a user with `own` orders in progress may have one more when `all` of `most` places are taken: he
/// must have less than a quarter of the free ones. Every order that he places leaves fewer, so some are
/// always left for others.
fn check(own: u64, all: u64, most: u64) -> Result<(), String> {
    let free = most.saturating_sub(all);
    if free == 0 {
        return Err(format!(
            "{most} orders have not ended yet, and more are not taken; this one had no effect"
        ));
    }
    if own < (free / 4).max(1) {
        return Ok(());
    }
    Err(format!(
        "{own} orders of this user have not ended yet, and more of one user are not taken; this one had no effect"
    ))
}

/// There are as many orders as are carried in the usual time.
fn too_many(limit: u64) -> Problem {
    let detail = format!(
        "orders take longer than usual, so no more than {limit} wait for the inventory at a time; this one had no effect"
    );
    Problem::new(Code::Overloaded, detail)
}

/// An order on its way into the log and back.
pub(super) struct Placing {
    of: InHand,
    user: UserId,
}

impl Drop for Placing {
    fn drop(&mut self) {
        let mut placing = self.of.placing();
        placing.all -= 1;
        if let Some(own) = placing.by.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                placing.by.remove(&self.user);
            }
        }
    }
}

impl OrderApi {
    /// Begins one more order of `user`, unless too many are in progress, or too many of his, or orders take longer than usual.
    pub(super) fn begin_order(&self, user: &UserId, order: OrderId) -> Result<Placing, Problem> {
        let mut placing = self.in_hand.placing();
        let (pending, pending_of) =
            self.views.read(|views| (views.book.counts().pending, views.book.pending_of(user)));
        let on_their_way = placing.by.get(user).copied().unwrap_or_default();
        let (own, all) = (pending_of + on_their_way, pending + placing.all);
        check(own, all, self.in_hand.most).map_err(|detail| Problem::new(Code::Overloaded, detail))?;
        self.views.read(|views| views.underway().take(order)).map_err(too_many)?;
        placing.all += 1;
        *placing.by.entry(user.clone()).or_default() += 1;
        drop(placing);
        Ok(Placing { of: self.in_hand.clone(), user: user.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets this many users place as many orders as they can. Returns how many each has, and the total.
    fn fill(users: usize, most: u64) -> (Vec<u64>, u64) {
        let (mut own, mut all) = (vec![0; users], 0);
        loop {
            let before = all;
            for own in &mut own {
                if check(*own, all, most).is_ok() {
                    *own += 1;
                    all += 1;
                }
            }
            if all == before {
                return (own, all);
            }
        }
    }

    #[test]
    fn no_user_takes_all_places_and_a_newcomer_finds_one() {
        assert_eq!(fill(1, ORDERS_IN_HAND), (vec![2_000], 2_000));
        for users in [1, 4, 11, 300] {
            let (own, all) = fill(users, ORDERS_IN_HAND);
            assert!(own.iter().all(|own| *own >= 1), "{own:?}");
            assert_eq!(check(0, all, ORDERS_IN_HAND), Ok(()), "{users} users have {all}");
        }
    }

    #[test]
    fn the_refusal_says_which_bound_it_is() {
        assert!(check(0, 5, 5).unwrap_err().starts_with("5 orders have not ended"));
        assert!(check(2, 2, 10).unwrap_err().starts_with("2 orders of this user"));
        assert_eq!(check(0, 4, 5), Ok(()), "the last place is for whoever has none");
    }
}
