//! The alerts ask for metrics that exist.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use serde_yaml::Value;

/// Suffixes of a histogram's name in expressions.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The names of metrics in `text`.
fn metrics(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    names.filter(|name| name.starts_with("kbnt_")).map(str::to_owned).collect()
}

/// The metrics that the services and the operator register.
fn registered() -> BTreeSet<String> {
    let services = read("docs/metrics.md");
    let services = services.lines().filter(|line| line.starts_with("| `kbnt_"));
    let mut all =
        services.flat_map(|row| metrics(row.split('|').nth(1).unwrap_or_default())).collect::<BTreeSet<_>>();
    all.extend(metrics(&read("operator/src/metrics.rs")));
    all
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read("manifests/monitoring/alerts.yaml")).unwrap();
    let groups = rules["spec"]["groups"].as_sequence().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_sequence().unwrap()).cloned().collect()
}

#[test]
fn every_alert_asks_for_metrics_that_exist_and_says_what_to_do() {
    let known = registered();
    assert!(known.len() > 25, "{known:?}");
    let rules = alerts();
    assert!(rules.len() > 5);
    for rule in &rules {
        let name = rule["alert"].as_str().unwrap();
        let asked = metrics(rule["expr"].as_str().unwrap());
        assert!(!asked.is_empty(), "{name}");
        for metric in asked {
            let base = PARTS.iter().find_map(|part| metric.strip_suffix(part)).unwrap_or(&metric);
            assert!(known.contains(base) || known.contains(&metric), "{name} asks for {metric}");
        }
        for said in ["summary", "description"] {
            assert!(!rule["annotations"][said].as_str().unwrap().is_empty(), "{name}: {said}");
        }
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
    }
}

#[test]
fn a_growing_count_of_dead_letters_wakes_somebody_who_is_told_where_to_look() {
    let grows = |rule: &&Value| rule["expr"].as_str().unwrap().contains("increase(kbnt_dead_letters_total");
    let rules = alerts();
    let rule = rules.iter().find(grows).unwrap();
    let page = "docs/dead-letters.md";
    let description = rule["annotations"]["description"].as_str().unwrap();
    assert!(description.contains("kbnt dlq list") && description.contains(page), "{description}");
    assert!(read(page).contains(rule["alert"].as_str().unwrap()));
}
