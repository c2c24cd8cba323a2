//! Whether a service is available, according to its Deployment.

use kbnt_crds::common::ServiceState;

use crate::conditions::{Finding, list};
use crate::owned::ObservedDeployment;

/// Whether a service is available.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It does not run yet.
    Absent,
    /// All its pods can be used.
    Available,
    /// Its pods are starting.
    Progressing(String),
    /// Its pods do not start, and why.
    Failed(String),
}

/// A service, and whether it is available.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Name of its Deployment.
    pub name: String,
    /// Pods asked for.
    pub desired: i32,
    /// Pods that can be used.
    pub ready: i32,
    /// Whether it is available.
    pub state: State,
    /// If it is available: why the pods of its latest change do not come up, while earlier ones serve.
    pub stuck: Option<String>,
}

impl View {
    /// The view of a service with this Deployment, if it exists.
    pub fn of(name: &str, desired: i32, deployment: Option<&ObservedDeployment>) -> Self {
        let Some(deployment) = deployment else {
            return Self { name: name.to_owned(), desired, ready: 0, state: State::Absent, stuck: None };
        };
        let ready = deployment.available;
        // While a change rolls out, the old pods still serve.
        let available = ready >= desired;
        let (state, stuck) = match failure(deployment) {
            why if available => (State::Available, why),
            Some(why) => (State::Failed(why), None),
            None if deployment.current => {
                (State::Progressing(format!("{ready} of {desired} pods available")), None)
            }
            None => (State::Progressing("its latest change is not seen yet".into()), None),
        };
        Self { name: name.to_owned(), desired, ready, state, stuck }
    }
}

/// Why the pods of the latest change do not come up.
fn failure(deployment: &ObservedDeployment) -> Option<String> {
    let stalled = || Some(format!("{} See `kubectl describe pods`.", deployment.stalled.as_ref()?));
    let why = deployment.failure.as_ref().map(ToString::to_string).or_else(stalled);
    why.filter(|_| deployment.current)
}

/// The services as the status lists them.
pub fn states(views: &[View]) -> Vec<ServiceState> {
    let state =
        |view: &View| ServiceState { name: view.name.clone(), desired: view.desired, ready: view.ready };
    views.iter().map(state).collect()
}

/// WorkloadsAvailable for these services. `awaited` is what must be ready before they start.
pub fn finding(views: &[View], awaited: Option<&str>) -> Finding {
    const TYPE: &str = "WorkloadsAvailable";
    let pick = |choose: fn(&State) -> Option<&String>| -> Vec<String> {
        views
            .iter()
            .filter_map(|view| choose(&view.state).map(|why| format!("{}: {why}", view.name)))
            .collect()
    };
    let failed = pick(|state| match state {
        State::Failed(why) => Some(why),
        _ => None,
    });
    if !failed.is_empty() {
        return Finding::no(TYPE, "PodsFailed", list(&failed));
    }
    let absent: Vec<_> =
        views.iter().filter(|view| view.state == State::Absent).map(|view| &view.name).collect();
    if !absent.is_empty() {
        let awaited = awaited.unwrap_or("their Deployments to be made");
        return Finding::no(TYPE, "WaitingForStart", format!("{} wait for {awaited}", list(&absent)));
    }
    let progressing = pick(|state| match state {
        State::Progressing(why) => Some(why),
        _ => None,
    });
    if !progressing.is_empty() {
        return Finding::no(TYPE, "Progressing", list(&progressing));
    }
    let stuck: Vec<_> = views
        .iter()
        .filter_map(|view| view.stuck.as_ref().map(|why| format!("{}: {why}", view.name)))
        .collect();
    let message = format!("{} of {} services available", views.len(), views.len());
    let found = Finding::yes(TYPE, "Available", message);
    if stuck.is_empty() {
        return found;
    }
    found.with(&[format!(
        "pods of the latest change do not come up, and earlier ones serve: {}",
        list(&stuck)
    )])
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};

    use super::*;

    fn deployment(observed: i64, available: i32, conditions: &[(&str, &str)]) -> Deployment {
        let conditions = conditions.iter().map(|(type_, status)| DeploymentCondition {
            type_: Some((*type_).into()),
            status: Some((*status).into()),
            message: Some("why".into()),
            ..DeploymentCondition::default()
        });
        let mut deployment = Deployment {
            status: Some(DeploymentStatus {
                observed_generation: Some(observed),
                available_replicas: Some(available),
                conditions: Some(conditions.collect()),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        };
        deployment.metadata.generation = Some(2);
        deployment
    }

    #[test]
    fn a_deployment_tells_how_its_service_fares() {
        let reason = |deployment: Option<&Deployment>| {
            let observed = deployment.map(ObservedDeployment::of);
            finding(&[View::of("a", 1, observed.as_ref())], Some("topics")).reason
        };
        assert_eq!(reason(None), "WaitingForStart");
        for (observed, available, condition, expected) in [
            (1, 0, ("Progressing", "False"), "Progressing"),
            (1, 1, ("Progressing", "True"), "Available"),
            (2, 0, ("Progressing", "True"), "Progressing"),
            (2, 0, ("Progressing", "False"), "PodsFailed"),
            (2, 0, ("ReplicaFailure", "True"), "PodsFailed"),
            // The old pods still serve while new ones fail: available is what counts.
            (2, 1, ("Progressing", "False"), "Available"),
        ] {
            let deployment = deployment(observed, available, &[condition]);
            assert_eq!(reason(Some(&deployment)), expected, "{observed} {available} {condition:?}");
        }
    }

    #[test]
    fn a_change_that_does_not_come_up_is_reported_while_earlier_pods_serve() {
        let message = |deployment: &Deployment| {
            let observed = ObservedDeployment::of(deployment);
            finding(&[View::of("a", 1, Some(&observed))], None).message
        };
        let stuck = "1 of 1 services available; pods of the latest change do not come up, and earlier ones serve: a: why";
        assert_eq!(
            message(&deployment(2, 1, &[("Progressing", "False")])),
            format!("{stuck} See `kubectl describe pods`.")
        );
        assert_eq!(message(&deployment(2, 1, &[("ReplicaFailure", "True")])), stuck);
        for (observed, condition) in [(2, ("Progressing", "True")), (1, ("Progressing", "False"))] {
            assert_eq!(message(&deployment(observed, 1, &[condition])), "1 of 1 services available");
        }
    }
}
