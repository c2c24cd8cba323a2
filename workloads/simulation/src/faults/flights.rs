//! Effects on their way to the world outside and back.

use kbnt_application::driver::{Attempt, Event};
use kbnt_application::{Effect, EffectOutcome, PaymentRequest};
use kbnt_domain::OrderId;

use super::gateway::Outside;
use crate::plan::Faults;
use crate::plan::rng::Rng;
use crate::process::Process;
use crate::world::World;

/// An attempt that a process waits for, or that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) effect: Effect,
    attempt: Attempt,
    /// The process that is to hear of it; `None` if it has given up waiting.
    pub(crate) process: Option<usize>,
    /// What came of it, once it was done outside.
    outcome: Option<EffectOutcome>,
}

/// What a process hears.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) process: usize,
    pub(crate) attempt: Attempt,
    pub(crate) order: OrderId,
    pub(crate) outcome: EffectOutcome,
    pub(crate) charge: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    flying: Vec<Flight>,
}

impl Flights {
    pub(crate) fn start(&mut self, process: usize, attempt: Attempt, effect: Effect) {
        self.flying.push(Flight { effect, attempt, process: Some(process), outcome: None });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    /// Nobody hears of what this process asked for.
    pub(crate) fn orphan(&mut self, process: usize) {
        for flight in &mut self.flying {
            if flight.process == Some(process) {
                flight.process = None;
            }
        }
    }

    /// Something happens to one of them.
    pub(crate) fn step(
        &mut self,
        outside: &mut Outside,
        faults: &Faults,
        rng: &mut Rng,
    ) -> Result<Option<Answer>, String> {
        if self.flying.is_empty() {
            return Ok(None);
        }
        let at = rng.index(self.flying.len());
        let flight = &mut self.flying[at];
        if let Some(outcome) = flight.outcome.clone() {
            // On its way back.
            let lost = rng.chance(faults.lossy);
            let outcome = if lost {
                Outside::unknown(&flight.effect)
            } else if rng.chance(faults.senseless) {
                Outside::senseless(&flight.effect)
            } else {
                outcome
            };
            return Ok(self.land(at, outcome));
        }
        if outside.away {
            let outcome = Outside::unreachable(&flight.effect);
            return Ok(self.land(at, outcome));
        }
        if rng.chance(faults.lossy) {
            let outcome = Outside::unknown(&flight.effect);
            if rng.chance(500) {
                // The request is lost.
                return Ok(self.land(at, outcome));
            }
            // The process gives up waiting, but the request is still on its way.
            let answer = flight.process.take().map(|process| answer(process, flight, outcome));
            return Ok(answer);
        }
        flight.outcome = Some(outside.perform(&flight.effect)?);
        // Now and then it gets there twice.
        if rng.chance(faults.lossy / 4) {
            outside.perform(&flight.effect)?;
        }
        Ok(None)
    }

    fn land(&mut self, at: usize, outcome: EffectOutcome) -> Option<Answer> {
        let flight = self.flying.swap_remove(at);
        flight.process.map(|process| answer(process, &flight, outcome))
    }
}

fn answer(process: usize, flight: &Flight, outcome: EffectOutcome) -> Answer {
    let charge = matches!(flight.effect, Effect::Payment(PaymentRequest::Charge { .. }));
    Answer { process, attempt: flight.attempt, order: flight.effect.order(), outcome, charge }
}

impl World {
    /// A process acts on the world outside.
    pub(crate) fn start(&mut self, id: usize, attempt: Attempt, effect: Effect) -> Result<(), String> {
        self.allow(id, &effect)?;
        self.say(|| format!("{} does {effect:?}", self.processes[id].name()));
        self.flights.start(id, attempt, effect);
        Ok(())
    }

    /// Something happens to an effect.
    pub(crate) fn fly(&mut self) -> Result<(), String> {
        let answer = self.flights.step(&mut self.outside, &self.plan.faults, &mut self.rng)?;
        let Some(answer) = answer else { return Ok(()) };
        if self.processes[answer.process].dead {
            return Ok(());
        }
        self.say(|| {
            let name = self.processes[answer.process].name();
            format!("{name} hears of {}: {:?}", answer.order, answer.outcome)
        });
        let process = &mut self.processes[answer.process];
        process.actions.heard(answer.order, answer.charge, &answer.outcome);
        process.outcomes.push_back(answer);
        Ok(())
    }
}

impl Process {
    /// It hears of what it did outside, as far as its driver takes that in; whether there was anything.
    pub(crate) fn hear(&mut self) -> bool {
        let mut any = false;
        while !self.outcomes.is_empty()
            && self.driver.wants().outcomes
            && let Some(Answer { attempt, order, outcome, .. }) = self.outcomes.pop_front()
        {
            self.tell(Event::Outcome(attempt, Some((order, outcome))));
            any = true;
        }
        any
    }
}
