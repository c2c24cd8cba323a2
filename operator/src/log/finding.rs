//! The condition LogIntact.

use kbnt_crds::Condition;

use super::identity::ADOPT;
use super::watch::Answers;
use super::{Damage, Identity, TYPE};
use crate::conditions::{self, Finding, Status, list};

/// LogIntact for a resource with these topics, whose `services` have given `answers` so far. `before` is the
/// last condition: an operator that has just started has no answers yet, and earlier findings still hold.
pub fn find(
    identity: &Identity,
    services: &[String],
    answers: &Answers,
    before: Option<&Condition>,
) -> Finding {
    let damage: Vec<(&String, &Damage)> = answers
        .iter()
        .filter_map(|(service, answer)| Some((service, answer.report.as_ref()?)))
        .flat_map(|(service, report)| report.damage.iter().map(move |damage| (service, damage)))
        .collect();
    let unexplained: Vec<&String> = answers
        .iter()
        .filter(|(_, answer)| {
            answer.report.as_ref().is_some_and(|report| !report.intact && report.damage.is_empty())
        })
        .map(|(service, _)| service)
        .collect();
    let refused = if identity.refused.is_empty() {
        String::new()
    } else {
        format!("; annotation {ADOPT}: {}", list(&identity.refused))
    };
    if !identity.replaced.is_empty() || !damage.is_empty() || !unexplained.is_empty() {
        return broken(identity, &damage, &unexplained, &refused);
    }
    let silent: Vec<&String> = services
        .iter()
        .filter(|service| answers.get(*service).is_none_or(|answer| answer.report.is_none()))
        .collect();
    if silent.is_empty() {
        let (topics, count) = (identity.ids().len(), services.len());
        let message = format!(
            "{count} services find what they need in the log, and {topics} topics are those that are known{refused}"
        );
        return Finding::yes(TYPE, "Intact", message);
    }
    let unasked = silent.iter().any(|service| answers.get(*service).is_none());
    if let Some(before) = before.filter(|before| unasked && before.status != Status::Unknown.as_str()) {
        return Finding::kept(TYPE, before);
    }
    let errors: Vec<String> = silent
        .iter()
        .filter_map(|service| Some(format!("{service}: {}", answers.get(*service)?.error.as_ref()?)))
        .collect();
    if errors.is_empty() {
        let message = format!("{} have not said yet what they find in the log{refused}", list(&silent));
        return Finding::unknown(TYPE, "WaitingForWorkloads", message);
    }
    Finding::unknown(TYPE, "NotReported", format!("{}{refused}", list(&errors)))
}

fn broken(
    identity: &Identity,
    damage: &[(&String, &Damage)],
    unexplained: &[&String],
    refused: &str,
) -> Finding {
    let replaced = identity.replaced.iter().map(|replaced| {
        format!("topic {} is {} and was {}", replaced.topic, replaced.present, replaced.known)
    });
    let found = damage.iter().map(|(service, damage)| format!("{service}: {}", damage.describe()));
    let without = unexplained.iter().map(|service| format!("{service}: its log is not intact"));
    let all: Vec<String> = replaced.chain(found).chain(without).collect();
    let reason = if identity.replaced.is_empty() {
        damage.first().map_or("LogDamaged", |(_, damage)| damage.reason())
    } else {
        "TopicReplaced"
    };
    let pairs: Vec<_> = identity.replaced.iter().map(|r| format!("{}={}", r.topic, r.present)).collect();
    let way = if pairs.is_empty() {
        String::new()
    } else {
        format!(", or to go on with what is there annotate {ADOPT}: {}", pairs.join(","))
    };
    let advice = format!("nothing is decided: restore the log{way}; see LogIntact in docs/operator.md");
    Finding::no(TYPE, reason, format!("{}{refused}; {advice}", list(&all)))
}

/// LogIntact for a resource that cannot be carried out: what was found before, if anything.
pub fn unplanned(before: Option<&Condition>, reason: &'static str, message: String) -> Finding {
    before.map_or_else(|| Finding::unknown(TYPE, reason, message), |before| Finding::kept(TYPE, before))
}

/// The last condition, if there is one.
pub fn before(conditions: &[Condition]) -> Option<&Condition> {
    conditions::find(conditions, TYPE)
}
