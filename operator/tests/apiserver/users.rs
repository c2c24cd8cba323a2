//! A Kafka user for each service, made by Strimzi, and its Secret in the namespace of the pods.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::virtual_stock::{KafkaUsers, UserAuthentication};
use kbnt_crds::{KafkaUser, OrderWorkflow, VirtualStock};
use kbnt_operator::kube::short_digest;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, TypeMeta};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::harness::{Failure, KAFKA, Shop, Suite, Verdict, expect, stock, until, workflow};

/// The namespace to which the operator may copy Secrets.
const NAMESPACE: &str = "users";
/// Variables of the operator that allow it.
pub(crate) const RIGHTS: [(&str, &str); 3] =
    [("KBNT_KAFKA_USERS", "true"), ("KBNT_USER_SECRETS_FROM", KAFKA), ("KBNT_USER_SECRETS_TO", NAMESPACE)];

const ROLES: [&str; 5] = ["user", "payment", "order", "notification", "audit"];

fn users(shop: &Shop) -> Api<KafkaUser> {
    Api::namespaced_with(shop.client.clone(), KAFKA, &KafkaUser::resource("v1"))
}

/// The user of a service.
fn name(shop: &Shop, role: &str) -> String {
    let digest = short_digest(&format!("{}/main", shop.namespace));
    format!("main-{role}-{}", &digest[..8])
}

/// The sample, with a user for each service.
fn with_users(shop: &Shop) -> Result<VirtualStock, Failure> {
    let mut stock = stock(&shop.namespace, KAFKA)?;
    stock.spec.kafka.users = Some(KafkaUsers { authentication: UserAuthentication::ScramSha512 });
    Ok(stock)
}

/// Marks a user as ready, as Strimzi does, once the operator has asked for it.
async fn ready(shop: &Shop, role: &str) -> Result<KafkaUser, Failure> {
    let (api, name) = (users(shop), name(shop, role));
    let user = until(&format!("KafkaUser {name}"), || async { Ok(api.get(&name).await?) }).await?;
    let status = json!({"status": {
        "observedGeneration": user.metadata.generation, "username": name, "secret": name,
        "conditions": [{"type": "Ready", "status": "True"}],
    }});
    Ok(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await?)
}

/// Makes the Secret of a user, as Strimzi does.
async fn hand_out(shop: &Shop, user: &KafkaUser, password: &str) -> Verdict {
    let template = user.spec.template.clone().unwrap_or_default().secret.metadata;
    let value = |text: &str| ByteString(text.as_bytes().to_vec());
    let secret = Secret {
        metadata: ObjectMeta {
            name: user.metadata.name.clone(),
            labels: Some(template.labels),
            annotations: Some(template.annotations),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            ("password".into(), value(password)),
            ("sasl.jaas.config".into(), value("not for pods")),
        ])),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(shop.client.clone(), KAFKA);
    secrets.create(&PostParams::default(), &secret).await?;
    Ok(())
}

/// Waits until the copy of a user's Secret has this password, and nothing else.
async fn copied(shop: &Shop, name: &str, password: &str) -> Verdict {
    until(&format!("the copy of Secret {name}"), || async {
        let data = shop.api::<Secret>().get(name).await?.data.unwrap_or_default();
        let kept: Vec<_> = data.iter().map(|(key, value)| (key.as_str(), value.0.as_slice())).collect();
        expect(kept == [("password", password.as_bytes())], || "another one".into())
    })
    .await
}

async fn count(shop: &Shop) -> Result<usize, Failure> {
    let all = users(shop).list(&ListParams::default()).await?;
    let ours = |user: &&KafkaUser| {
        user.annotations()
            .get("kbnt.dev/owner")
            .is_some_and(|owner| owner.contains(&format!("/{}/", shop.namespace)))
    };
    Ok(all.iter().filter(ours).count())
}

async fn gone(shop: &Shop) -> Verdict {
    until("the users' end", || async {
        let left = count(shop).await?;
        expect(left == 0, || format!("{left} are left"))
    })
    .await
}

/// Deletes what Strimzi and the garbage collector would delete.
async fn clear_secrets(shop: &Shop) -> Verdict {
    let (how, all) = (DeleteParams::default(), ListParams::default());
    shop.api::<Secret>().delete_collection(&how, &all).await?;
    let theirs = ListParams::default().labels("kbnt.dev/kafka-user");
    Api::<Secret>::namespaced(shop.client.clone(), KAFKA).delete_collection(&how, &theirs).await?;
    Ok(())
}

fn variable(deployment: &Deployment, name: &str) -> Option<String> {
    let pod = deployment.spec.template.spec.as_ref()?;
    pod.containers[0].env.iter().flatten().find(|made| made.name == name)?.value.clone()
}

async fn each_service_has_a_user_with_its_rights_and_its_secret(suite: &Suite) -> Verdict {
    let shop = suite.shop(NAMESPACE).await?;
    shop.create(&with_users(&shop)?).await?;
    shop.create(&workflow()?).await?;

    // Strimzi reports the user as ready before its Secret exists: the service waits for both.
    let condition = shop.stock_is("UsersReady", "False", "WaitingForUsers").await?;
    expect(condition.message.contains("User Operator"), || condition.message.clone())?;
    let inventory = ready(&shop, "inventory").await?;
    let acls = serde_json::to_value(&inventory.spec.authorization)?;
    let rights = |name: &str, operations: &[&str]| json!({"operations": operations, "resource": {"type": "topic", "name": format!("{NAMESPACE}-{name}"), "patternType": "literal"}});
    let expected = [
        rights("inventory-events", &["Read", "Write"]),
        rights("user-events", &["Read"]),
        rights("payment-events", &["Read"]),
        rights("order-events", &["Read"]),
        rights("application-logs", &["Write"]),
    ];
    expect(acls["acls"] == Value::from(expected.to_vec()), || acls.to_string())?;
    until("the missing Secret to be told", || async {
        let condition = shop.stock_is("UsersReady", "False", "WaitingForUsers").await?;
        expect(condition.message.contains("its Secret kafka/"), || condition.message.clone())
    })
    .await?;
    let none = shop.names::<Deployment>().await?;
    expect(none.is_empty(), || format!("{none:?} run before they can log in"))?;
    let user = name(&shop, "inventory");
    hand_out(&shop, &inventory, "first").await?;
    copied(&shop, &user, "first").await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    let deployments = shop.api::<Deployment>();
    let made = deployments.get("main-inventory-service").await?;
    expect(variable(&made, "KBNT_KAFKA_USERNAME").as_ref() == Some(&user), || format!("{made:?}"))?;

    for role in ROLES {
        let user = ready(&shop, role).await?;
        hand_out(&shop, &user, role).await?;
    }
    shop.workflow_is("UsersReady", "True", "UsersReady").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    for role in ROLES {
        copied(&shop, &name(&shop, role), role).await?;
    }

    // A rotation reaches the copy and replaces no pod, and a deleted copy is restored.
    let secrets: Api<Secret> = Api::namespaced(shop.client.clone(), KAFKA);
    let rotated = json!({"stringData": {"password": "second"}});
    secrets.patch(&user, &PatchParams::default(), &Patch::Merge(&rotated)).await?;
    copied(&shop, &user, "second").await?;
    shop.api::<Secret>().delete(&user, &DeleteParams::default()).await?;
    copied(&shop, &user, "second").await?;
    let after = deployments.get("main-inventory-service").await?;
    expect(after.metadata.generation == made.metadata.generation, || "the pods are made anew".into())
}

pub(crate) async fn users_go_when_nobody_asks_for_them_any_more(suite: &Suite) -> Verdict {
    each_service_has_a_user_with_its_rights_and_its_secret(suite).await?;
    let shop = suite.shop(NAMESPACE).await?;
    shop.patch::<VirtualStock>(&json!({"spec": {"kafka": {"users": null}}})).await?;
    gone(&shop).await?;
    let made = shop.api::<Deployment>().get("main-order-service").await?;
    expect(variable(&made, "KBNT_KAFKA_USERNAME").is_none(), || format!("{made:?}"))?;
    until("conditions without users", || async {
        let stock = shop.api::<VirtualStock>().get("main").await?;
        let conditions = stock.status.unwrap_or_default().conditions;
        expect(conditions.iter().all(|condition| condition.type_ != "UsersReady"), || "told still".into())?;
        expect(stock.metadata.finalizers.unwrap_or_default().is_empty(), || "a finalizer is left".into())
    })
    .await?;

    // They are restored. The state stays for the test of a restart.
    clear_secrets(&shop).await?;
    let users = json!({"spec": {"kafka": {"users": {"authentication": "scram-sha-512"}}}});
    shop.patch::<VirtualStock>(&users).await?;
    for role in ROLES.into_iter().chain(["inventory"]) {
        let user = ready(&shop, role).await?;
        hand_out(&shop, &user, "third").await?;
        copied(&shop, &name(&shop, role), "third").await?;
    }
    shop.stock_is("Ready", "True", "Ready").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let finalizers = shop.api::<OrderWorkflow>().get("main").await?.metadata.finalizers;
    expect(finalizers.is_some(), || "users elsewhere would outlive their owner".into())
}

pub(crate) async fn a_user_of_somebody_else_is_reported_and_left_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop(KAFKA).await?;
    let types = TypeMeta { api_version: "kafka.strimzi.io/v1".into(), kind: "KafkaUser".into() };
    let mut foreign = KafkaUser { types: Some(types), ..KafkaUser::default() };
    foreign.metadata.name = Some(name(&shop, "inventory"));
    let api = users(&shop);
    api.create(&PostParams::default(), &foreign).await?;
    shop.create(&with_users(&shop)?).await?;
    let condition = shop.stock_is("UsersReady", "False", "UserConflict").await?;
    expect(condition.message.contains("belongs to somebody"), || condition.message.clone())?;
    let live = api.get(&name(&shop, "inventory")).await?;
    expect(live.spec == foreign.spec, || format!("{live:?}"))?;
    // In the namespace of the cluster, pods mount Strimzi's Secret, and the deletion of the resource waits
    // for nothing.
    api.delete(&name(&shop, "inventory"), &DeleteParams::default()).await?;
    ready(&shop, "inventory").await?;
    shop.stock_is("UsersReady", "True", "UsersReady").await?;
    let stock = shop.api::<VirtualStock>().get("main").await?;
    expect(stock.finalizers().is_empty(), || format!("{:?}", stock.finalizers()))?;
    shop.delete::<VirtualStock>().await
}

pub(crate) async fn a_namespace_beyond_its_rights_is_told_and_not_tried(suite: &Suite) -> Verdict {
    let shop = suite.shop("users-beyond").await?;
    shop.create(&with_users(&shop)?).await?;
    let condition = shop.stock_is("UsersReady", "False", "InvalidSpec").await?;
    expect(condition.message.contains("kafkaUsers.secretsTo"), || condition.message.clone())?;
    let made = count(&shop).await?;
    expect(made == 0, || format!("{made} users are made"))
}

/// A stock with a user from creation to deletion, for an operator some of whose calls fail.
pub(crate) async fn from_beginning_to_end(shop: &Shop) -> Verdict {
    shop.create(&with_users(shop)?).await?;
    let user = ready(shop, "inventory").await?;
    hand_out(shop, &user, "secret").await?;
    copied(shop, &name(shop, "inventory"), "secret").await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    shop.delete::<VirtualStock>().await?;
    gone(shop).await
}
