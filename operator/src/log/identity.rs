//! Which topics a resource knows, and whether another topic has taken the name of one of them.
//!
//! The id of a topic is recorded when the resource first sees it. From then on only a person changes the
//! record, by an annotation with the exact new id, so that nobody can adopt a topic without having seen it.

use std::collections::BTreeMap;

use kbnt_crds::common::TopicState;

use super::report::Damage;
use crate::topics::TopicIds;

/// Annotation that adopts topics: `TOPIC=ID[,TOPIC=ID]`.
pub const ADOPT: &str = "kbnt.dev/adopt-topics";
/// Variable that lists the known topics for the services.
const VARIABLE: &str = "KBNT_KAFKA_TOPIC_IDS";

/// What decides which topics are known.
pub struct Question<'a> {
    /// Prefix of each topic name.
    pub prefix: &'a str,
    /// The topics of the resource, without the prefix.
    pub topics: &'a [&'a str],
    /// What the status has recorded.
    pub recorded: &'a [TopicState],
    /// The ids that Strimzi reports now.
    pub present: TopicIds,
    /// What the services have found, for topics whose id only they report.
    pub damage: Vec<Damage>,
    /// The value of the annotation, if there is one.
    pub wish: Option<&'a str>,
    /// Whether the resource is paused.
    pub paused: bool,
}

/// The topics that a resource knows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    known: BTreeMap<String, Known>,
    /// Topics whose name another topic has taken.
    pub replaced: Vec<Replaced>,
    /// Topics that the annotation adopts for the first time.
    pub adopted: Vec<Adopted>,
    /// Parts of the annotation that adopt nothing, and why.
    pub refused: Vec<String>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Known {
    id: Option<String>,
    replaces: Option<String>,
}

/// A topic whose name another topic has taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// Name, with the prefix.
    pub topic: String,
    /// The known id.
    pub known: String,
    /// The id of the topic that exists now.
    pub present: String,
}

/// A topic that was adopted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Adopted {
    /// Name, with the prefix.
    pub topic: String,
    /// The id before.
    pub from: String,
    /// The id from now on.
    pub to: String,
}

impl Identity {
    /// What the status records of this topic: its id, and the id that it replaces.
    pub fn record(&self, topic: &str) -> (Option<String>, Option<String>) {
        let known = self.known.get(topic).cloned().unwrap_or_default();
        (known.id, known.replaces)
    }

    /// The known ids.
    pub fn ids(&self) -> TopicIds {
        let known = self.known.iter();
        known.filter_map(|(topic, known)| Some((topic.clone(), known.id.clone()?))).collect()
    }

    /// Whether a topic exists whose id is not known yet.
    pub fn misses(&self, present: &TopicIds) -> bool {
        present.keys().any(|topic| self.known.get(topic).is_none_or(|known| known.id.is_none()))
    }
}

/// The variable that lists the known topics for the services, if there are any.
pub fn variable(ids: &TopicIds) -> Option<(&'static str, String)> {
    let pairs: Vec<_> = ids.iter().map(|(topic, id)| format!("{topic}={id}")).collect();
    (!pairs.is_empty()).then(|| (VARIABLE, pairs.join(",")))
}

/// Compares the known ids with the present ones and with the annotation.
pub fn identify(question: &Question<'_>) -> Identity {
    let mut identity = Identity::default();
    let wishes = wishes(question, &mut identity.refused);
    for topic in question.topics {
        let name = format!("{}{topic}", question.prefix);
        let recorded = question.recorded.iter().find(|recorded| recorded.name == name);
        let mut known = Known {
            id: recorded.and_then(|recorded| recorded.topic_id.clone()),
            replaces: recorded.and_then(|recorded| recorded.replaces.clone()),
        };
        let present = present(question, topic, &mut known);
        let wish = wishes.get(topic);
        match (known.id.clone(), present) {
            (None, present) => known.id = present,
            (Some(old), Some(new)) if old != new => {
                if wish == Some(&new) && !question.paused {
                    known = Known { id: Some(new.clone()), replaces: Some(old.clone()) };
                    identity.adopted.push(Adopted { topic: name.clone(), from: old, to: new });
                } else {
                    identity.replaced.push(Replaced { topic: name.clone(), known: old, present: new });
                }
            }
            _ => {}
        }
        if let Some(wish) = wish
            && let Some(why) = objection(wish, &known, &identity, &name, question.paused)
        {
            identity.refused.push(why);
        }
        identity.known.insert((*topic).to_owned(), known);
    }
    identity
}

/// The id of the topic that exists now. If Strimzi does not report it, a service that found another topic
/// does, together with the id that it knew before.
fn present(question: &Question<'_>, topic: &str, known: &mut Known) -> Option<String> {
    if let Some(id) = question.present.get(topic) {
        return Some(id.clone());
    }
    let replaced = question.damage.iter().find(|damage| {
        damage.kind == "replaced"
            && plain(question.prefix, &damage.topic) == topic
            && damage.topic_id.is_some()
    })?;
    if known.id.is_none() {
        known.id.clone_from(&replaced.known_topic_id);
    }
    replaced.topic_id.clone()
}

fn objection(wish: &str, known: &Known, identity: &Identity, name: &str, paused: bool) -> Option<String> {
    if known.id.as_deref() == Some(wish) {
        return None;
    }
    let replaced = identity.replaced.iter().find(|replaced| replaced.topic == name);
    Some(match replaced {
        Some(replaced) if replaced.present == wish && paused => {
            format!("{name}={wish} is not adopted while the resource is paused")
        }
        Some(replaced) => {
            format!("{name}={wish} is not adopted, as the topic that is there is {}", replaced.present)
        }
        None => format!(
            "{name}={wish} is not adopted, as the topic that is known is {}",
            known.id.as_deref().unwrap_or("none yet")
        ),
    })
}

/// The annotation by topic. Entries that cannot be parsed are refused.
fn wishes<'a>(question: &Question<'a>, refused: &mut Vec<String>) -> BTreeMap<&'a str, String> {
    let mut wishes = BTreeMap::new();
    let pairs = question.wish.unwrap_or_default().split(',').map(str::trim).filter(|pair| !pair.is_empty());
    for pair in pairs {
        // A padded id may end in '='.
        let Some((name, id)) = pair.split_once('=').map(|(name, id)| (name.trim(), id.trim())) else {
            refused.push(format!("{pair:?} is not adopted: write TOPIC=ID"));
            continue;
        };
        let topic = plain(question.prefix, name);
        match question.topics.iter().find(|own| **own == topic) {
            Some(own) => drop(wishes.insert(*own, id.to_owned())),
            None => refused.push(format!("{pair:?} is not adopted: {name} is no topic of this resource")),
        }
    }
    wishes
}

/// The name without the prefix.
fn plain<'a>(prefix: &str, name: &'a str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: [&str; 2] = ["order-events", "user-events"];

    fn recorded(ids: &[(&str, &str)]) -> Vec<TopicState> {
        let state = |(name, id): &(&str, &str)| TopicState {
            name: format!("a-{name}"),
            ready: true,
            topic_id: Some((*id).to_owned()),
            replaces: None,
        };
        ids.iter().map(state).collect()
    }

    fn ids(ids: &[(&str, &str)]) -> TopicIds {
        ids.iter().map(|(topic, id)| ((*topic).to_owned(), (*id).to_owned())).collect()
    }

    fn asked<'a>(known: &'a [TopicState], present: &[(&str, &str)], wish: Option<&'a str>) -> Question<'a> {
        Question {
            prefix: "a-",
            topics: &TOPICS,
            recorded: known,
            present: ids(present),
            damage: Vec::new(),
            wish,
            paused: false,
        }
    }

    #[test]
    fn the_first_id_is_taken_and_another_one_is_not() {
        let first = identify(&asked(&[], &[("order-events", "1"), ("user-events", "2")], None));
        assert_eq!(first.ids(), ids(&[("order-events", "1"), ("user-events", "2")]));
        assert_eq!(
            variable(&first.ids()),
            Some(("KBNT_KAFKA_TOPIC_IDS", "order-events=1,user-events=2".to_owned()))
        );
        assert!(first.replaced.is_empty() && first.adopted.is_empty());
        let known = recorded(&[("order-events", "1"), ("user-events", "2")]);
        let later = identify(&asked(&known, &[("order-events", "3"), ("user-events", "2")], None));
        assert_eq!(later.ids(), first.ids());
        assert_eq!(
            later.replaced,
            [Replaced { topic: "a-order-events".into(), known: "1".into(), present: "3".into() }]
        );
        // A topic that nothing reports yet is still the known one.
        let gone = identify(&asked(&known, &[], None));
        assert_eq!((gone.ids(), gone.replaced), (first.ids(), Vec::new()));
        assert_eq!(variable(&TopicIds::new()), None);
    }

    #[test]
    fn only_the_exact_new_id_is_adopted() {
        let known = recorded(&[("order-events", "1")]);
        for name in ["order-events", "a-order-events"] {
            let wish = format!("{name}=3");
            let adopted = identify(&asked(&known, &[("order-events", "3")], Some(&wish)));
            assert_eq!(
                adopted.adopted,
                [Adopted { topic: "a-order-events".into(), from: "1".into(), to: "3".into() }]
            );
            assert_eq!(adopted.record("order-events"), (Some("3".into()), Some("1".into())));
            assert!(adopted.replaced.is_empty() && adopted.refused.is_empty(), "{:?}", adopted.refused);
        }
        for (wish, why) in [
            ("order-events=2", "the topic that is there is 3"),
            ("order-events", "write TOPIC=ID"),
            ("inventory-events=3", "no topic of this resource"),
        ] {
            let refused = identify(&asked(&known, &[("order-events", "3")], Some(wish)));
            assert!(refused.adopted.is_empty() && refused.replaced.len() == 1, "{wish}");
            assert!(refused.refused.len() == 1 && refused.refused[0].contains(why), "{:?}", refused.refused);
        }
        let paused =
            Question { paused: true, ..asked(&known, &[("order-events", "3")], Some("order-events=3")) };
        let paused = identify(&paused);
        assert!(paused.adopted.is_empty() && paused.refused[0].contains("paused"), "{:?}", paused.refused);
    }

    #[test]
    fn an_annotation_that_was_carried_out_says_nothing_and_a_stale_one_is_shown() {
        let known = recorded(&[("order-events", "3")]);
        let done = identify(&asked(&known, &[("order-events", "3")], Some("order-events=3")));
        assert!(done.adopted.is_empty() && done.refused.is_empty(), "{:?}", done.refused);
        let stale = identify(&asked(&known, &[("order-events", "3")], Some("order-events=1")));
        assert!(stale.adopted.is_empty() && stale.refused[0].contains("known is 3"), "{:?}", stale.refused);
    }

    #[test]
    fn without_strimzi_a_service_says_which_topic_is_there() {
        let damage = || {
            vec![Damage {
                topic: "a-order-events".into(),
                kind: "replaced".into(),
                known_topic_id: Some("1".into()),
                topic_id: Some("3".into()),
                ..Damage::default()
            }]
        };
        let found = identify(&Question { damage: damage(), ..asked(&[], &[], None) });
        assert_eq!(found.replaced.len(), 1);
        let adopted = identify(&Question { damage: damage(), ..asked(&[], &[], Some("order-events=3")) });
        assert_eq!(adopted.record("order-events"), (Some("3".into()), Some("1".into())));
    }
}
