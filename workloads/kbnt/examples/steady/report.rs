//! What came of all requests.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::connection::Answer;
use crate::plan::Kind;
use crate::sending::Sample;
use crate::shared::Times;

/// Wrong answers that are shown.
const SHOWN: usize = 5;

/// Answers by what was asked.
#[derive(Default)]
pub(crate) struct Report {
    /// How the orders of each part ended, and how long that took.
    parts: BTreeMap<Kind, Part>,
    /// What was answered first to each order that ended.
    first: BTreeMap<u32, Answer>,
    /// What was answered to those that were placed again.
    again: Vec<(u32, Result<Answer, String>)>,
    again_took: Vec<Duration>,
}

/// The orders of a part.
#[derive(Default)]
struct Part {
    /// By what was said of them.
    ends: BTreeMap<String, u32>,
    ended: Vec<Duration>,
    /// Those that ended, by the second in which they were due.
    by_second: BTreeMap<u64, Vec<Duration>>,
    refused: Vec<Duration>,
}

/// Whether this is how an order ends.
fn is_end(answer: &Answer) -> bool {
    matches!(answer.said.as_str(), "CONFIRMED" | "CANCELLED")
}

impl Report {
    pub(crate) fn take(&mut self, sample: Sample) {
        let Sample { due, again, answer, took } = sample;
        if let Some(number) = again {
            self.again.push((number, answer));
            self.again_took.push(took);
            return;
        }
        let part = self.parts.entry(due.kind).or_default();
        let said = answer.as_ref().map_or_else(Clone::clone, |answer| answer.said.clone());
        *part.ends.entry(said).or_default() += 1;
        match answer {
            Ok(answer) if is_end(&answer) => {
                part.ended.push(took);
                part.by_second.entry(due.at.as_secs()).or_default().push(took);
                self.first.insert(due.number, answer);
            }
            Ok(answer) if answer.code == 503 => part.refused.push(took),
            _ => {}
        }
    }

    /// How many ended or were refused as too many, of the orders of a part.
    pub(crate) fn settled(&self, kind: Kind) -> usize {
        self.parts.get(&kind).map_or(0, |part| part.ended.len() + part.refused.len())
    }

    /// How many of the orders of a part ended.
    pub(crate) fn ended(&self, kind: Kind) -> usize {
        self.parts.get(&kind).map_or(0, |part| part.ended.len())
    }

    /// All orders, by what was said of them.
    pub(crate) fn ends(&self) -> BTreeMap<&str, u32> {
        let mut ends = BTreeMap::new();
        for (said, count) in self.parts.values().flat_map(|part| &part.ends) {
            *ends.entry(said.as_str()).or_default() += count;
        }
        ends
    }

    /// The times of the orders of a part that ended; `None` if none did.
    pub(crate) fn times(&self, kind: Kind) -> Option<Times> {
        let ended = &self.parts.get(&kind)?.ended;
        (!ended.is_empty()).then(|| Times::of(ended.clone()))
    }

    pub(crate) fn show_seconds(&self) {
        for (second, times) in self.parts.values().flat_map(|part| &part.by_second) {
            println!("{second:>4} s: {}", Times::of(times.clone()));
        }
    }

    /// Whether each order that was placed again was answered with what had become of it.
    pub(crate) fn show_again(&self) -> bool {
        if self.again.is_empty() {
            return true;
        }
        let wrong = |(number, again): &&(u32, Result<Answer, String>)| {
            let is_right = |again: &Answer, first: &Answer| {
                again.code == 200 && again.replayed && again.order == first.order && again.said == first.said
            };
            let first = self.first.get(number);
            !again.as_ref().is_ok_and(|again| first.is_some_and(|first| is_right(again, first)))
        };
        let wrong: Vec<_> = self.again.iter().filter(wrong).collect();
        let (right, times) = (self.again.len() - wrong.len(), Times::of(self.again_took.clone()));
        println!(
            "{right} of {} orders of before were answered as they had ended; ms: {times}",
            self.again.len()
        );
        for (number, again) in wrong.iter().take(SHOWN) {
            println!("order {number} ended as {:?}, and is answered {again:?}", self.first.get(number));
        }
        wrong.is_empty()
    }

    /// What became of those that came too fast, and how long the rest took to be as fast as usual.
    pub(crate) fn show_overload(&self) {
        let Some(part) = self.parts.get(&Kind::Overload) else { return };
        if let (Some(usual), Some(times)) = (self.times(Kind::Usual), self.times(Kind::Overload)) {
            let ratio = times.within(0.99) / usual.within(0.99);
            println!("too many: {} ended, in ms: {times}; p99 is {ratio:.2} of the usual", part.ended.len());
        }
        if !part.refused.is_empty() {
            println!("too many: {} refused, in ms: {}", part.refused.len(), Times::of(part.refused.clone()));
        }
        if let Some(seconds) = self.seconds_until_usual() {
            println!("orders took no longer than twice the usual p99 again after {seconds} s");
        }
    }

    /// The first second after the overload from which on none had a p99 of more than twice the usual one, counted from its end.
    fn seconds_until_usual(&self) -> Option<u64> {
        let most = 2.0 * self.times(Kind::Usual)?.within(0.99);
        let after = &self.parts.get(&Kind::After)?.by_second;
        let begins = *after.keys().next()?;
        let slow = after.iter().filter(|(_, times)| Times::of((*times).clone()).within(0.99) > most);
        Some(slow.map(|(second, _)| second + 1 - begins).max().unwrap_or(0))
    }
}
