//! Has users made, sees to it that pods can log in as them, and lets them go.

use kbnt_crds::KafkaUser;
use kube::ResourceExt;

use super::secret::copy;
use super::{ObservedSecret, ObservedUser, ServiceUser};
use crate::context::{Context, UserStore};
use crate::error::Error;
use crate::kafka_cluster::Place;
use crate::kube::Wanted;
use crate::ownership::Owner;
use crate::readiness::{State, View};
use crate::topics::release_all;
use crate::workloads::{Workload, rolled_out};

/// Makes Strimzi have these users, and copies the Secrets of those that are ready to where the pods are. The answer is
/// those that somebody else holds, and who.
pub async fn apply(context: &Context, owner: &Owner, users: &[ServiceUser]) -> Result<Vec<View>, Error> {
    let mut held = Vec::new();
    if users.is_empty() {
        return Ok(held);
    }
    let store = context.users().ok_or(Error::NoKafkaUsers)?;
    for user in users {
        let known = find(&store, user).map(|note| note.fingerprint);
        let wanted = Wanted::new(&user.object, store.resource.clone())?;
        match context.objects.ensure(&owner.uid, &wanted, known, |meta| owner.other_holder(meta)).await {
            Err(Error::Held { holder, .. }) => {
                held.push(View { name: user.name.clone(), state: State::Held(holder) });
            }
            other => drop(other?),
        }
        if let Some(source) = source(context, &store, owner, user)
            && let Some(secret) = copy(owner, user, &source)
        {
            let known = context.stores.secrets.get(&owner.namespace, &user.name).map(|note| note.fingerprint);
            let holder = |meta: &_| owner.other_controller(meta);
            context.objects.ensure(&owner.uid, &Wanted::of(&secret)?, known, holder).await?;
        }
    }
    Ok(held)
}

/// What Strimzi made for a user of this owner whose Secret has to be copied, once both are there.
fn source(context: &Context, store: &UserStore, owner: &Owner, user: &ServiceUser) -> Option<ObservedSecret> {
    let note = find(store, user).filter(|note| note.state.is_usable() && user.copied)?;
    if owner.other_than(note.owner.as_deref()).is_some() {
        return None;
    }
    context.stores.secrets.get(&user.object.namespace()?, note.secret.as_deref()?)
}

/// How these users fare.
pub fn look(context: &Context, owner: &Owner, users: &[ServiceUser], held: &[View]) -> Vec<View> {
    let store = context.users();
    let state_of = |user: &ServiceUser| {
        if let Some(view) = held.iter().find(|view| view.name == user.name) {
            return view.state.clone();
        }
        let Some(live) = store.as_ref().and_then(|store| find(store, user)) else {
            return State::Pending("it does not exist yet".into());
        };
        match owner.other_than(live.owner.as_deref()) {
            Some(holder) => State::Held(holder),
            None if live.state.is_usable() => login(context, owner, user, &live),
            None => live.state,
        }
    };
    users.iter().map(|user| View { name: user.name.clone(), state: state_of(user) }).collect()
}

/// Whether pods can log in as each of these users.
pub fn are_usable(context: &Context, owner: &Owner, users: &[ServiceUser], held: &[View]) -> bool {
    look(context, owner, users, held).iter().all(|user| user.state.is_usable())
}

/// Whether pods can log in as a user that is ready: they mount its Secret.
fn login(context: &Context, owner: &Owner, user: &ServiceUser, live: &ObservedUser) -> State {
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
    if !user.copied || context.stores.secrets.get(&owner.namespace, &user.name).is_some() {
        return live.state.clone();
    }
    State::Pending(format!("its Secret {namespace}/{secret} is not there yet, or not copied yet"))
}

/// Deletes the users that this very owner holds, wherever they are, as topics are let go.
pub async fn release(context: &Context, owner: &Owner) -> Result<(), Error> {
    match context.users() {
        Some(store) => release_all::<KafkaUser>(context, owner, &store.resource).await,
        None => Ok(()),
    }
}

/// Deletes the users that this owner held here, where it asks for none any more and no pod is left that logs in as one.
pub async fn retire(
    context: &Context,
    owner: &Owner,
    place: Option<&Place>,
    users: &[ServiceUser],
    workloads: &[Workload],
) -> Result<(), Error> {
    let (Some(place), Some(store)) = (place, context.users()) else { return Ok(()) };
    if !users.is_empty() || !rolled_out(context, workloads) {
        return Ok(());
    }
    for (name, note) in store.notes.all_in(&place.namespace) {
        if note.owner.is_some() && owner.other_than(note.owner.as_deref()).is_none() {
            let holder = |meta: &_| owner.other_holder(meta);
            context.objects.remove(&place.namespace, &name, &store.resource, holder).await?;
        }
    }
    Ok(())
}

fn find(store: &UserStore, user: &ServiceUser) -> Option<ObservedUser> {
    store.notes.get(&user.object.namespace().unwrap_or_default(), &user.name)
}
