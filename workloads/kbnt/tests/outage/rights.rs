//! The rights that making and checking topics takes: those in the documentation, and the errors without them.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use kbnt_kafka::admin::{Reason, TopicAdmin, TopicState, WantedTopic};
use kbnt_kafka::{KafkaConfig, Mechanism, Protocol, Sasl, Security};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::broker::Broker;
use kbnt_testkit::DEADLINE;

fn wanted(name: &str, retention: &str) -> WantedTopic {
    let configs = BTreeMap::from([("retention.ms".to_owned(), retention.to_owned())]);
    WantedTopic { name: name.into(), partitions: 1, replicas: 1, configs }
}

async fn ensure(config: &KafkaConfig, wanted: &WantedTopic) -> TopicState {
    let admin = TopicAdmin::new(config).unwrap();
    admin.ensure(std::slice::from_ref(wanted), Duration::ZERO).await.remove(0).state
}

/// Retries until the outcome is `expected`: a right takes effect a moment after it was granted.
async fn until(config: &KafkaConfig, wanted: &WantedTopic, expected: impl Fn(&TopicState) -> bool) {
    let began = Instant::now();
    loop {
        let state = ensure(config, wanted).await;
        if expected(&state) {
            return;
        }
        assert!(began.elapsed() < DEADLINE, "{state:?}");
    }
}

/// Somebody has to act first, and the message contains this text.
fn refused(text: &'static str) -> impl Fn(&TopicState) -> bool {
    move |state| matches!(state, TopicState::Wrong { reason: Reason::KafkaError, message } if message.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn each_right_is_needed_for_what_the_documentation_says_and_its_lack_is_told() {
    let (broker, keys) = (Broker::new(), tempfile::tempdir().unwrap());
    let open = broker.start_guarded("auto.create.topics.enable=true");
    broker.scram("kbnt", "right");
    let password_file = keys.path().join("password");
    fs::write(&password_file, "wrong").unwrap();
    let sasl = Sasl {
        mechanism: Mechanism::ScramSha512,
        username: "kbnt".into(),
        password_file: password_file.clone(),
    };
    let security = Security {
        protocol: Protocol::SaslSsl,
        ca: Some(broker.file("tls/ca.crt")),
        certificate: None,
        sasl: Some(sasl),
    };
    let bootstrap_servers = fs::read_to_string(broker.file("scram")).unwrap().trim().to_owned();
    let config = KafkaConfig { bootstrap_servers, security, ..KafkaConfig::default() };
    let topic = wanted("rights", "1000000");

    let state = ensure(&config, &topic).await;
    let TopicState::Failed { message, .. } = &state else { panic!("{state:?}") };
    assert!(message.to_lowercase().contains("authentication failed"), "{message}");
    fs::write(&password_file, "right").unwrap();
    until(&config, &topic, refused("look at it: TopicAuthorizationFailed")).await;
    broker.allow("kbnt", "Describe", "rights");
    until(&config, &topic, refused("make it with 1 partitions and 1 copies: TopicAuthorizationFailed")).await;
    broker.allow("kbnt", "Create", "rights");
    until(&config, &topic, |state| *state == TopicState::Created).await;
    until(&config, &topic, refused("DescribeConfigs")).await;
    broker.allow("kbnt", "DescribeConfigs", "rights");
    until(&config, &topic, |state| *state == TopicState::Ready).await;
    let topic = wanted("rights", "2000000");
    until(
        &config,
        &topic,
        refused("change its settings retention.ms: this user needs the right AlterConfigs"),
    )
    .await;
    broker.allow("kbnt", "AlterConfigs", "rights");
    until(&config, &topic, |state| matches!(state, TopicState::Altered { .. })).await;

    // If the cluster creates requested topics by itself, a look at one must not create it.
    let config = KafkaConfig { bootstrap_servers: open.clone(), ..KafkaConfig::default() };
    let impossible = WantedTopic { replicas: 99, ..wanted("never", "1000000") };
    until(&config, &impossible, refused("InvalidReplicationFactor")).await;
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &open).create().unwrap();
    let metadata = client.fetch_metadata(None, DEADLINE).unwrap();
    assert!(metadata.topics().iter().all(|topic| topic.name() != "never"));
}
