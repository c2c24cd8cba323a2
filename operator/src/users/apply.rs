//! Makes users, ensures that pods can log in as them, and releases them.

use k8s_openapi::api::core::v1::Secret;
use kbnt_crds::KafkaUser;
use kube::ResourceExt;

use super::ServiceUser;
use super::secret::copy;
use crate::error::Error;
use crate::kafka_cluster::Place;
use crate::owned::{Cluster, ObservedSecret, ObservedUser};
use crate::ownership::Owner;
use crate::readiness::{State, View};
use crate::workloads::{Workload, rolled_out};

/// Has Strimzi make these users, and copies the Secrets of those that are ready into the namespace of the
/// pods. Returns the users that another owner holds, and who it is.
pub async fn apply(cluster: &Cluster, owner: &Owner, users: &[ServiceUser]) -> Result<Vec<View>, Error> {
    let mut held = Vec::new();
    for user in users {
        match cluster.ensure(owner, &user.object).await {
            Err(Error::Held { holder, .. }) => {
                held.push(View { name: user.name.clone(), state: State::Held(holder) });
            }
            other => drop(other?),
        }
        if let Some(source) = source(cluster, owner, user)
            && let Some(secret) = copy(owner, user, &source)
        {
            cluster.ensure(owner, &secret).await?;
        }
    }
    Ok(held)
}

/// The Secret to copy that Strimzi made for a user of this owner, once user and Secret exist.
fn source(cluster: &Cluster, owner: &Owner, user: &ServiceUser) -> Option<ObservedSecret> {
    let live = cluster.live(&user.object)?.observed;
    if !live.state.is_usable() || !user.copied || owner.other_than(live.owner.as_deref()).is_some() {
        return None;
    }
    Some(cluster.get::<Secret>(&user.object.namespace()?, live.secret.as_deref()?)?.observed)
}

/// The state of these users: whether pods can log in as them. `held` are those that another owner holds.
pub fn look(cluster: &Cluster, owner: &Owner, users: &[ServiceUser], held: &[View]) -> Vec<View> {
    let state_of = |user: &ServiceUser| {
        if let Some(view) = held.iter().find(|view| view.name == user.name) {
            return view.state.clone();
        }
        let Some(live) = cluster.live(&user.object).map(|live| live.observed) else {
            return State::Pending("it does not exist yet".into());
        };
        match owner.other_than(live.owner.as_deref()) {
            Some(holder) => State::Held(holder),
            None if live.state.is_usable() => login(cluster, owner, user, &live),
            None => live.state,
        }
    };
    users.iter().map(|user| View { name: user.name.clone(), state: state_of(user) }).collect()
}

/// Whether pods can log in as a user that is ready: they mount its Secret.
fn login(cluster: &Cluster, owner: &Owner, user: &ServiceUser, live: &ObservedUser) -> State {
    let namespace = user.object.namespace().unwrap_or_default();
    let Some(secret) = live.secret.as_deref() else {
        return State::Pending("Strimzi has not told its Secret yet".into());
    };
    if !user.copied && secret != user.name {
        return State::Failed(
            "SecretPrefix".into(),
            format!(
                "its Secret is called {secret}: the pods find it only where the User Operator has no secretPrefix"
            ),
        );
    }
    if !user.copied || cluster.get::<Secret>(&owner.namespace, &user.name).is_some() {
        return live.state.clone();
    }
    State::Pending(format!("its Secret {namespace}/{secret} is not there yet, or not copied yet"))
}

/// Deletes the users that this owner held here, once it asks for none any more and no pod that logs in as one
/// is left.
pub async fn retire(
    cluster: &Cluster,
    owner: &Owner,
    place: Option<&Place>,
    users: &[ServiceUser],
    workloads: &[Workload],
) -> Result<(), Error> {
    let Some(place) = place.filter(|_| cluster.has::<KafkaUser>()) else { return Ok(()) };
    if !users.is_empty() || !rolled_out(cluster, workloads) {
        return Ok(());
    }
    for (name, live) in cluster.all_in::<KafkaUser>(&place.namespace) {
        let signature = live.observed.owner.as_deref();
        if signature.is_some() && owner.other_than(signature).is_none() {
            cluster.remove::<KafkaUser>(owner, &place.namespace, &name).await?;
        }
    }
    Ok(())
}
