//! The cases try every rule of the definitions both ways.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::admission::Case;
use crate::harness::{Suite, Verdict, expect};

/// A rule of a definition and its place: a path of fields, with `[]` for any item of a list.
struct Rule {
    path: Vec<String>,
    text: String,
    message: String,
}

/// Collects the rules of a schema and of everything below it.
fn rules(schema: &Value, path: &[String], into: &mut Vec<Rule>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let text = |field: &str| rule[field].as_str().unwrap_or_default().to_owned();
        into.push(Rule { path: path.to_vec(), text: text("rule"), message: text("message") });
    }
    let below = |step: &str| [path, &[step.to_owned()]].concat();
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        rules(schema, &below(name), into);
    }
    if schema["items"].is_object() {
        rules(&schema["items"], &below("[]"), into);
    }
}

impl Rule {
    /// The fields that an object must have for the rule to apply: `!has(self.a) || ...` applies only if `a`
    /// is there.
    fn subjects(&self) -> Vec<Vec<String>> {
        let parts: Vec<_> = self.text.split("||").map(str::trim).collect();
        let absent = |part: &&str| {
            let (field, rest) = part.strip_prefix("!has(self.")?.split_once(')')?;
            rest.is_empty().then(|| field.split('.').map(str::to_owned).collect::<Vec<_>>())
        };
        let fields: Vec<_> = parts.iter().filter_map(absent).collect();
        // If the rule asks for nothing else, it forbids the fields themselves.
        if fields.is_empty() || fields.len() == parts.len() {
            return vec![self.path.clone()];
        }
        fields.into_iter().map(|field| [self.path.clone(), field].concat()).collect()
    }

    fn speaks_of(&self, object: &Value) -> bool {
        self.subjects().iter().all(|path| has(object, path))
    }
}

fn has(value: &Value, path: &[String]) -> bool {
    match path {
        [] => !value.is_null(),
        [step, rest @ ..] if step == "[]" => {
            value.as_array().into_iter().flatten().any(|item| has(item, rest))
        }
        [step, rest @ ..] => has(&value[step], rest),
    }
}

/// `admission` tries the lists of cases; this test fails if a rule is in none of them. A rule that several
/// fields share counts once.
pub(crate) async fn every_rule_is_tried_both_ways(_: &Suite) -> Verdict {
    let (mut admitted, mut refused) = (Case::admitted()?, Case::refused()?);
    for case in Case::changes()? {
        if case.says.is_empty() { &mut admitted } else { &mut refused }.push(case);
    }
    let mut found = Vec::new();
    for definition in kbnt_crds::generate::definitions()? {
        let definition = serde_json::to_value(definition)?;
        rules(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &[], &mut found);
    }
    let mut by_message = BTreeMap::<&str, Vec<&Rule>>::new();
    for rule in &found {
        by_message.entry(&rule.message).or_default().push(rule);
    }
    expect(by_message.len() > 30, || format!("only {} rules are found", by_message.len()))?;
    let objects = admitted.iter().map(Case::object).collect::<Result<Vec<_>, _>>()?;
    let mut untried = Vec::new();
    for (message, rules) in by_message {
        if !refused.iter().any(|case| !case.says.is_empty() && message.contains(&case.says)) {
            untried.push(format!("nothing is refused by: {message}"));
        }
        if !objects.iter().any(|object| rules.iter().any(|rule| rule.speaks_of(object))) {
            untried.push(format!("nothing is admitted by: {message}"));
        }
    }
    expect(untried.is_empty(), || untried.join("\n"))
}
