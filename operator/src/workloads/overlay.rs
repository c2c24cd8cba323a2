//! Applies what users add to pods, in the format of Kubernetes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kbnt_crds::pod::PodTemplate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::kube::holds;
use crate::labels::MANAGED_BY;

/// What pods are spread over by default, as far as possible.
const SPREAD: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

/// The value of this field, parsed as the Kubernetes type.
fn typed<T: DeserializeOwned + Serialize>(field: &str, given: &Map<String, Value>) -> Result<T, Error> {
    let given = Value::Object(given.clone());
    let wrong = |why: String| Error::Invalid(format!("podTemplate.{field}: {why}"));
    let typed: T = serde_json::from_value(given.clone()).map_err(|error| wrong(error.to_string()))?;
    if holds(&given, &serde_json::to_value(&typed)?) {
        Ok(typed)
    } else {
        Err(wrong("it has a field that Kubernetes does not know".into()))
    }
}

/// The value of this field, if it is set.
pub(super) fn optional<T: DeserializeOwned + Serialize>(
    field: &str,
    given: &Map<String, Value>,
) -> Result<Option<T>, Error> {
    (!given.is_empty()).then(|| typed(field, given)).transpose()
}

/// Checks that the program accepts the given variables. Variables whose value refers to another one are not
/// checked.
pub fn check(service: &str, given: &PodTemplate) -> Result<(), Error> {
    for variable in given.env.iter().filter(|variable| variable.value_from.is_empty()) {
        let value = variable.value.as_deref().unwrap_or_default();
        if value.is_empty() || value.contains("$(") {
            continue;
        }
        let (right, advice) = match variable.name.as_str() {
            "KBNT_LOG" => (kbnt_rules::is_log_filter(value), kbnt_rules::LOG_FILTER_ADVICE),
            "KBNT_LOG_FORMAT" => (kbnt_rules::LOG_FORMATS.contains(&value), kbnt_rules::LOG_FORMAT_ADVICE),
            "OTEL_EXPORTER_OTLP_ENDPOINT" => (kbnt_rules::is_base_url(value), kbnt_rules::BASE_URL_ADVICE),
            _ => continue,
        };
        if !right {
            return Err(Error::Invalid(format!(
                "{service}.podTemplate.env {}={value:?}: {advice}",
                variable.name
            )));
        }
    }
    Ok(())
}

/// The given variables, without those that the operator sets itself.
pub(super) fn variables(given: &PodTemplate, own: &[EnvVar]) -> Result<Vec<EnvVar>, Error> {
    let others = given.env.iter().filter(|given| own.iter().all(|own| own.name != given.name));
    others
        .map(|given| {
            Ok(EnvVar {
                name: given.name.clone(),
                value: given.value.clone(),
                value_from: optional("env.valueFrom", &given.value_from)?,
            })
        })
        .collect()
}

/// How pods with these labels are spread.
pub(super) fn spread(
    given: &PodTemplate,
    mut labels: BTreeMap<String, String>,
) -> Result<Vec<TopologySpreadConstraint>, Error> {
    labels.remove(MANAGED_BY.0);
    let selector = LabelSelector { match_labels: Some(labels), match_expressions: None };
    if !given.topology_spread_constraints.is_empty() {
        let constraint = |given| {
            let mut made: TopologySpreadConstraint = typed("topologySpreadConstraints", given)?;
            made.label_selector.get_or_insert_with(|| selector.clone());
            Ok(made)
        };
        return given.topology_spread_constraints.iter().map(constraint).collect();
    }
    let constraint = |key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector.clone()),
        // The pods of a new version are spread among themselves.
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        ..TopologySpreadConstraint::default()
    };
    Ok(SPREAD.iter().map(|key| constraint(key)).collect())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Affinity;
    use serde_json::json;

    use super::*;

    fn affinity(given: &Value) -> Result<Affinity, String> {
        typed("affinity", given.as_object().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_kubernetes_does_not_know_is_told() {
        let term = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]});
        let right = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}});
        assert!(affinity(&right).is_ok());
        let error = affinity(&json!({"nodeAfinity": {}, "podAffinity": {"x": 1}})).unwrap_err();
        assert!(
            error.contains("podTemplate.affinity: it has a field that Kubernetes does not know"),
            "{error}"
        );
        let error = affinity(&json!({"nodeAffinity": 5})).unwrap_err();
        assert!(error.contains("podTemplate.affinity: invalid type"), "{error}");
    }

    #[test]
    fn a_variable_that_would_stop_the_program_is_told() {
        let checked = |name: &str, value: &str| {
            let given = json!({"env": [{"name": name, "value": value}]});
            check("services.order", &serde_json::from_value(given).unwrap())
                .map_err(|error| error.to_string())
        };
        for (name, right, wrong) in [
            ("KBNT_LOG", "warn,kbnt_kafka=debug", "info,debgu"),
            ("KBNT_LOG", "", "debgu"),
            ("KBNT_LOG", "$(LEVEL)", "hyper"),
            ("KBNT_LOG_FORMAT", "json", "pretty"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318", "collector:4317"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://$(NODE_IP):4318", "http://collector:99999"),
        ] {
            assert_eq!(checked(name, right), Ok(()));
            let error = checked(name, wrong).unwrap_err();
            assert!(
                error.starts_with(&format!("services.order.podTemplate.env {name}=\"{wrong}\": ")),
                "{error}"
            );
        }
        assert_eq!(checked("OTHER", "debgu"), Ok(()));
    }

    #[test]
    fn the_operators_own_variables_stay_whatever_is_given() {
        let given: PodTemplate = serde_json::from_value(
            json!({"env": [{"name": "KBNT_HTTP_PORT", "value": "1"}, {"name": "A", "value": "b"}]}),
        )
        .unwrap();
        let own = [super::super::plain("KBNT_HTTP_PORT", "8080")];
        let names: Vec<_> = variables(&given, &own).unwrap().into_iter().map(|made| made.name).collect();
        assert_eq!(names, ["A"]);
    }
}
