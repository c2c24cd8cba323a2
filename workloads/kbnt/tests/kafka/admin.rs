//! Creates and corrects topics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kbnt_kafka::KafkaConfig;
use kbnt_kafka::admin::{Reason, TopicAdmin, TopicState, WantedTopic};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::support::cluster::Cluster;
use kbnt_testkit::eventually;

const WITHIN: Duration = Duration::from_secs(30);

fn topic(cluster: &Cluster, name: &str, partitions: i32, configs: &[(&str, &str)]) -> WantedTopic {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let name = format!("{}{name}", cluster.config.prefix);
    WantedTopic { name, partitions, replicas: 1, configs: configs.collect() }
}

async fn ensure(config: &KafkaConfig, wanted: &[WantedTopic]) -> Vec<TopicState> {
    let reports = TopicAdmin::new(config).unwrap().ensure(wanted, WITHIN).await;
    assert!(reports.iter().map(|report| &report.name).eq(wanted.iter().map(|wanted| &wanted.name)));
    reports.into_iter().map(|report| report.state).collect()
}

/// A client of another program.
fn client(cluster: &Cluster) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &cluster.config.bootstrap_servers).create().unwrap()
}

/// The settings of a topic.
async fn settings(cluster: &Cluster, name: &str) -> BTreeMap<String, String> {
    let asked = ResourceSpecifier::Topic(name);
    let answers = client(cluster).describe_configs([&asked], &AdminOptions::new()).await.unwrap();
    let entries = answers.into_iter().flat_map(|answer| answer.unwrap().entries);
    entries.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_is_missing_is_made_what_differs_is_changed_and_what_is_right_is_left_alone() {
    let cluster = Cluster::empty("ensure");
    let (week, month) = ("604800000", "2592000000");
    let wanted = |retention| {
        let own = [("retention.ms", retention), ("cleanup.policy", "delete"), ("min.insync.replicas", "1")];
        [topic(&cluster, "events", 3, &own), topic(&cluster, "logs", 1, &[])]
    };
    assert_eq!(ensure(&cluster.config, &wanted(week)).await, [TopicState::Created, TopicState::Created]);
    assert_eq!(ensure(&cluster.config, &wanted(week)).await, [TopicState::Ready, TopicState::Ready]);

    // A foreign setting stays when one of ours changes.
    let name = &wanted(week)[0].name;
    let foreign = AlterConfig::new(ResourceSpecifier::Topic(name)).set("segment.ms", "123456789");
    let foreign = foreign.set("retention.ms", "1000");
    client(&cluster).alter_configs([&foreign], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    // A broker shows a change a moment after it has acknowledged it.
    eventually("the change is shown", || async {
        settings(&cluster, name).await["segment.ms"] == "123456789"
    })
    .await;
    assert_eq!(
        ensure(&cluster.config, &wanted(month)).await,
        [TopicState::Altered { message: None }, TopicState::Ready]
    );
    eventually("ours is shown", || async { settings(&cluster, name).await["retention.ms"] == month }).await;
    assert_eq!(settings(&cluster, name).await["segment.ms"], "123456789");
    assert_eq!(ensure(&cluster.config, &wanted(month)).await, [TopicState::Ready, TopicState::Ready]);
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_is_another_one_is_told_and_left_as_it_is() {
    let cluster = Cluster::empty("other");
    let (three, copies) = (topic(&cluster, "events", 3, &[("retention.ms", "1000")]), 2);
    ensure(&cluster.config, std::slice::from_ref(&three)).await;
    let changed = BTreeMap::from([("retention.ms".to_owned(), "2000".to_owned())]);
    let others = [
        (
            WantedTopic { partitions: 1, configs: changed.clone(), ..three.clone() },
            "3 partitions instead of 1",
        ),
        (
            WantedTopic { partitions: 6, configs: changed.clone(), ..three.clone() },
            "3 partitions instead of 6",
        ),
        (WantedTopic { replicas: copies, configs: changed, ..three.clone() }, "1 copies"),
    ];
    for (other, said) in others {
        let states = ensure(&cluster.config, &[other]).await;
        let [TopicState::Wrong { reason: Reason::NotSupported, message }] = states.as_slice() else {
            panic!("{states:?}")
        };
        assert!(message.contains(said), "{message}");
        assert_eq!(ensure(&cluster.config, std::slice::from_ref(&three)).await, [TopicState::Ready]);
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_the_cluster_refuses_is_told_at_once_and_holds_up_no_other_topic() {
    let cluster = Cluster::empty("refused");
    let refused = [
        WantedTopic { replicas: 99, ..topic(&cluster, "copies", 1, &[]) },
        topic(&cluster, "settings", 1, &[("retention.ms", "soon")]),
        topic(&cluster, "name with blanks", 1, &[]),
    ];
    let fine = topic(&cluster, "fine", 1, &[]);
    let began = Instant::now();
    let states = ensure(&cluster.config, &[refused.as_slice(), &[fine]].concat()).await;
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    let (fine, refused) = states.split_last().unwrap();
    assert_eq!(fine, &TopicState::Created);
    for state in refused {
        assert!(matches!(state, TopicState::Wrong { reason: Reason::KafkaError, .. }), "{states:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_told_with_the_reason_once_the_time_is_over() {
    let config = KafkaConfig { bootstrap_servers: "127.0.0.1:1".into(), ..KafkaConfig::default() };
    let wanted: Vec<_> = ["a", "b"].map(|name| topic(&Cluster::at(String::new(), "no"), name, 1, &[])).into();
    let began = Instant::now();
    let reports = TopicAdmin::new(&config).unwrap().ensure(&wanted, Duration::ZERO).await;
    assert!(began.elapsed() < Duration::from_secs(15), "not once for each topic: {:?}", began.elapsed());
    for report in reports {
        let TopicState::Failed { reason: Reason::KafkaError, message } = &report.state else {
            panic!("{report:?}")
        };
        assert!(
            message.starts_with("cannot reach 127.0.0.1:1: ") && message.contains("refused"),
            "{message}"
        );
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn an_event_store_keeps_everything_and_whoever_changed_that_is_told_of() {
    let cluster = Cluster::empty("pinned");
    let wanted = [topic(&cluster, "inventory-events", 3, &[])];
    assert_eq!(ensure(&cluster.config, &wanted).await, [TopicState::Created]);
    let name = &wanted[0].name;
    let changed = AlterConfig::new(ResourceSpecifier::Topic(name)).set("retention.ms", "60000");
    let changed = changed.set("cleanup.policy", "compact");
    client(&cluster).alter_configs([&changed], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    kbnt_testkit::eventually("the change counts", || async {
        let now = settings(&cluster, name).await;
        let is = |key: &str, value: &str| now.get(key).is_some_and(|now| now == value);
        is("retention.ms", "60000") && is("cleanup.policy", "compact")
    })
    .await;
    let states = ensure(&cluster.config, &wanted).await;
    let [TopicState::Altered { message: Some(message) }] = states.as_slice() else { panic!("{states:?}") };
    assert!(message.contains("retention.ms") && message.contains("cleanup.policy"), "{message}");
    let now = settings(&cluster, name).await;
    for (key, value) in kbnt_kafka::admin::PINNED {
        assert_eq!(now[key], value, "{key}");
    }
    let finite = [topic(&cluster, "inventory-events", 3, &[("retention.ms", "60000")])];
    let states = ensure(&cluster.config, &finite).await;
    assert!(matches!(&states[0], TopicState::Wrong { reason: Reason::NotSupported, .. }), "{states:?}");
}
