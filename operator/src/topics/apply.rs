//! Makes KafkaTopics, looks at them and lets them go.

use kbnt_crds::KafkaTopic;
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::{Api, ResourceExt};

use super::{OWNER_UID_LABEL, Owner, State, TopicNote, View};
use crate::cluster::Wanted;
use crate::context::{Context, TopicStore};
use crate::error::Error;

/// Makes the cluster have these topics. Those that somebody else holds, and who.
pub async fn apply(context: &Context, owner: &Owner, topics: &[KafkaTopic]) -> Result<Vec<View>, Error> {
    let store = context.topics().ok_or(Error::NoKafkaTopics)?;
    let mut held = Vec::new();
    for topic in topics {
        let known = find(&store, topic).map(|note| note.fingerprint);
        let wanted = Wanted::new(topic, store.resource.clone())?;
        match context.objects.ensure(&owner.uid, &wanted, known, |meta| owner.other_holder(meta)).await {
            Err(Error::Held { holder, .. }) => {
                held.push(View { name: topic.name_any(), state: State::Held(holder) });
            }
            other => other?,
        }
    }
    Ok(held)
}

/// How these topics fare.
pub fn look(context: &Context, owner: &Owner, topics: &[KafkaTopic], held: &[View]) -> Vec<View> {
    let store = context.topics();
    let state_of = |topic: &KafkaTopic| {
        if let Some(view) = held.iter().find(|view| view.name == topic.name_any()) {
            return view.state.clone();
        }
        match store.as_ref().and_then(|store| find(store, topic)) {
            Some(live) => match owner.other_than(live.owner.as_deref()) {
                Some(holder) => State::Held(holder),
                None => live.state,
            },
            None => State::Pending("it does not exist yet".into()),
        }
    };
    topics.iter().map(|topic| View { name: topic.name_any(), state: state_of(topic) }).collect()
}

/// Deletes the topics that this very owner holds, wherever they are. Does not wait until they are gone, as Strimzi may
/// be gone itself.
pub async fn release(context: &Context, owner: &Owner) -> Result<(), Error> {
    let Some(store) = context.topics() else { return Ok(()) };
    let ours = ListParams::default().labels(&format!("{OWNER_UID_LABEL}={}", owner.uid));
    for (_, api) in context.kafka_scope.apis_with::<KafkaTopic>(&context.client, &store.resource) {
        let topics = api.list(&ours).await.map_err(Error::api("list the KafkaTopics to delete"))?;
        for topic in topics {
            delete(context, &store, &topic).await?;
        }
    }
    Ok(())
}

async fn delete(context: &Context, store: &TopicStore, topic: &KafkaTopic) -> Result<(), Error> {
    let (namespace, name) = (topic.namespace().unwrap_or_default(), topic.name_any());
    let api: Api<KafkaTopic> = Api::namespaced_with(context.client.clone(), &namespace, &store.resource);
    let only_this = DeleteParams {
        preconditions: Some(Preconditions { uid: topic.uid(), resource_version: None }),
        ..DeleteParams::default()
    };
    match api.delete(&name, &only_this).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Error::api(format!("delete KafkaTopic {namespace}/{name}"))),
    }
}

fn find(store: &TopicStore, topic: &KafkaTopic) -> Option<TopicNote> {
    store.notes.get(&topic.namespace().unwrap_or_default(), &topic.name_any())
}
