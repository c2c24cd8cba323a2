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
}

impl View {
    /// The view of a service with this Deployment, if it exists.
    pub fn of(name: &str, desired: i32, deployment: Option<&ObservedDeployment>) -> Self {
        let Some(deployment) = deployment else {
            return Self { name: name.to_owned(), desired, ready: 0, state: State::Absent };
        };
        let ready = deployment.available;
        // While a change rolls out, the old pods still serve.
        let state = if ready >= desired {
            State::Available
        } else if !deployment.current {
            State::Progressing("its latest change is not seen yet".into())
        } else if let Some(why) = &deployment.failure {
            State::Failed(why.to_string())
        } else if let Some(why) = &deployment.stalled {
            State::Failed(format!("{why} See `kubectl describe pods`."))
        } else {
            State::Progressing(format!("{ready} of {desired} pods available"))
        };
        Self { name: name.to_owned(), desired, ready, state }
    }
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
    if progressing.is_empty() {
        Finding::yes(TYPE, "Available", format!("{} of {} services available", views.len(), views.len()))
    } else {
        Finding::no(TYPE, "Progressing", list(&progressing))
    }
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
}
