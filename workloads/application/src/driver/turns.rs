//! Whose effect is next: users take turns, and none of them has all places.

use std::collections::{HashMap, VecDeque};

use crate::machine::{Effect, PaymentRequest};
use kbnt_domain::UserId;

/// The most places that one user has, however many are free.
const A_USER_MOST: usize = 32;

/// Who waits: a user, or whoever asks for what no user can make slow.
pub(super) type Who = Option<UserId>;

/// Effects that wait for a place.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: HashMap<Who, VecDeque<Effect>>,
    /// Those with something that waits, in the order of their turns.
    order: VecDeque<Who>,
    /// Places that they have.
    places: HashMap<Who, usize>,
}

/// For whom an effect is. What follows a charge is not of the user's making.
pub(super) fn who(effect: &Effect) -> Who {
    match effect {
        Effect::Payment(PaymentRequest::Charge { user, .. }) => Some(user.clone()),
        Effect::Payment(_) | Effect::Notification(_) => None,
    }
}

impl Turns {
    /// One more waits.
    pub(super) fn push(&mut self, effect: Effect) {
        let who = who(&effect);
        let waiting = self.waiting.entry(who.clone()).or_default();
        if waiting.is_empty() {
            self.order.push_back(who);
        }
        waiting.push_back(effect);
    }

    /// The next one, which has a place from now on; `free` places are left. A user has a quarter of those that were free at
    /// most, so that some are always left for others.
    pub(super) fn next(&mut self, free: usize) -> Option<Effect> {
        for _ in 0..self.order.len() {
            let who = self.order.pop_front()?;
            let has = self.places.get(&who).copied().unwrap_or_default();
            if who.is_some() && has >= (free / 4).clamp(1, A_USER_MOST) {
                self.order.push_back(who);
                continue;
            }
            let Some(waiting) = self.waiting.get_mut(&who) else { continue };
            let effect = waiting.pop_front();
            if waiting.is_empty() {
                self.waiting.remove(&who);
            } else {
                self.order.push_back(who.clone());
            }
            *self.places.entry(who).or_default() += 1;
            return effect;
        }
        None
    }

    /// One that had a place has come to its end.
    pub(super) fn done(&mut self, who: &Who) {
        if let Some(places) = self.places.get_mut(who) {
            *places -= 1;
            if *places == 0 {
                self.places.remove(who);
            }
        }
    }

    /// Keeps of those that wait only what passes.
    pub(super) fn retain(&mut self, keep: impl Fn(&Effect) -> bool) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(&keep);
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
        let waiting = &self.waiting;
        self.order.retain(|who| waiting.contains_key(who));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_domain::event::PaymentMethod;
    use kbnt_domain::{Currency, Money, OrderId, ReservationId, Timestamp};

    const PLACES: usize = 256;

    fn charge(user: &str, n: u32) -> Effect {
        let user: UserId = user.parse().unwrap();
        let order = OrderId::derive(&user, &n.to_string());
        let payment = PaymentMethod { method: "pix".into(), token: None };
        let (reservation, amount) = (ReservationId::derive(&order, 0), Money::zero(Currency::BRL));
        let expires_at = Timestamp::from_millis(i64::MAX);
        PaymentRequest::Charge { order, reservation, user, amount, payment, expires_at }.into()
    }

    /// Gives places as long as there are any that somebody may have; who has how many.
    fn fill(turns: &mut Turns, taken: &mut usize) {
        while *taken < PLACES && turns.next(PLACES - *taken).is_some() {
            *taken += 1;
        }
    }

    fn has(turns: &Turns, user: &str) -> usize {
        turns.places.get(&Some(user.parse().unwrap())).copied().unwrap_or_default()
    }

    #[test]
    fn one_user_has_a_few_places_and_the_next_one_comes_at_once() {
        let (mut turns, mut taken) = (Turns::default(), 0);
        (0..1_000).for_each(|n| turns.push(charge("slow", n)));
        fill(&mut turns, &mut taken);
        assert_eq!((has(&turns, "slow"), taken), (A_USER_MOST, A_USER_MOST));
        turns.push(charge("other", 0));
        fill(&mut turns, &mut taken);
        assert_eq!(has(&turns, "other"), 1);
        let order = OrderId::derive(&"other".parse().unwrap(), "0");
        turns.push(PaymentRequest::Query { order }.into());
        fill(&mut turns, &mut taken);
        assert_eq!(taken, A_USER_MOST + 2);
        turns.done(&Some("slow".parse().unwrap()));
        taken -= 1;
        fill(&mut turns, &mut taken);
        assert_eq!(
            (has(&turns, "slow"), taken),
            (A_USER_MOST, A_USER_MOST + 2),
            "and goes on as places get free"
        );
    }

    #[test]
    fn a_dozen_slow_users_leave_places_for_others() {
        let (mut turns, mut taken) = (Turns::default(), 0);
        for user in 0..12 {
            (0..256).for_each(|n| turns.push(charge(&format!("slow-{user}"), n)));
        }
        fill(&mut turns, &mut taken);
        assert!(taken < PLACES, "{taken}");
        for n in 0..8 {
            turns.push(charge(&format!("other-{n}"), 0));
        }
        fill(&mut turns, &mut taken);
        assert!((0..8).all(|n| has(&turns, &format!("other-{n}")) == 1), "{taken}");
    }

    #[test]
    fn users_take_turns_and_each_keeps_its_order() {
        let mut turns = Turns::default();
        for n in 0..3 {
            turns.push(charge("a", n));
        }
        turns.push(charge("b", 0));
        let next = |turns: &mut Turns| turns.next(PLACES).unwrap();
        assert_eq!(next(&mut turns), charge("a", 0));
        assert_eq!(next(&mut turns), charge("b", 0));
        assert_eq!(next(&mut turns), charge("a", 1));
        turns.retain(|effect| *effect != charge("a", 2));
        assert_eq!(turns.next(PLACES), None);
        assert!(turns.waiting.is_empty() && turns.order.is_empty());
    }
}
