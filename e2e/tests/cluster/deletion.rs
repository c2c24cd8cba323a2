//! Deleting both resources leaves nothing behind but what the deletion policy retains.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Kafka, Kubectl, Shop, until};

/// How long the garbage collector and the topics may take.
const GONE: Duration = Duration::from_mins(2);

/// Deployments, Services and so on of a shop, by `kind/name`.
const OWNED: &str = "deployments,services,serviceaccounts,configmaps,pods,poddisruptionbudgets";

fn topics_of(shop: &Shop) -> Result<Vec<String>, Failure> {
    let objects = Kubectl::new("kafka").run(&["get", "kafkatopics", "-o", "name"])?;
    Ok(objects.lines().filter(|name| name.contains(&shop.prefix)).map(str::to_owned).collect())
}

fn delete_both(shop: &Shop) -> Result<(), Failure> {
    shop.kubectl.run(&["delete", "orderworkflow,virtualstock", "--all", "--timeout=120s"])?;
    until("everything that was owned is gone", GONE, || {
        let left = shop.kubectl.run(&[
            "get",
            OWNED,
            "-l",
            "app.kubernetes.io/managed-by=kbnt-operator",
            "-o",
            "name",
        ])?;
        if left.is_empty() { Ok(()) } else { Err(Failure(left)) }
    })
}

#[test]
fn with_delete_the_topics_go_too() -> Result<(), Failure> {
    let shop = Shop::namespace("goes")?;
    shop.apply_samples()?;
    until("seven topics", GONE, || match topics_of(&shop)?.len() {
        7 => Ok(()),
        other => Err(Failure(format!("{other} topics"))),
    })?;
    delete_both(&shop)?;
    until("no topic object and no topic", GONE, || {
        let objects = topics_of(&shop)?;
        let topics: Vec<_> =
            Kafka::default().topics()?.into_iter().filter(|t| t.starts_with(&shop.prefix)).collect();
        if objects.is_empty() && topics.is_empty() {
            Ok(())
        } else {
            Err(Failure(format!("{objects:?} {topics:?}")))
        }
    })
}

#[test]
fn with_retain_the_topics_stay_and_are_taken_up_again() -> Result<(), Failure> {
    let shop = Shop::namespace("stays")?;
    let retain = |resource: &mut serde_json::Value| resource["spec"]["topicDeletionPolicy"] = "Retain".into();
    let ready = || {
        until("all topics ready", GONE, || {
            shop.kubectl.expect_condition("virtualstock/main", "TopicsReady", "True")?;
            shop.kubectl.expect_condition("orderworkflow/main", "TopicsReady", "True")
        })
    };
    shop.apply_samples_with(retain)?;
    ready()?;
    delete_both(&shop)?;
    assert_eq!(topics_of(&shop)?.len(), 7, "retained");

    // The same resources find their topics again, and this time delete them.
    shop.apply_samples()?;
    ready()?;
    delete_both(&shop)?;
    until("no topic object", GONE, || match topics_of(&shop)? {
        left if left.is_empty() => Ok(()),
        left => Err(Failure(format!("{left:?}"))),
    })
}
