//! Topics as a cluster should have them, by its admin API: for clusters where nobody else makes them.
//!
//! What is missing is made, and settings that differ are changed. Nothing is ever deleted, and a topic with other
//! partitions or copies is reported and left as it is: with more partitions the same key would lie on another one, and
//! its events out of order. The four event stores keep everything, whatever is wished.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kbnt_application::ports::LogError;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use serde::{Deserialize, Serialize};

use super::pinned_settings as pinned;
use crate::client::config::KafkaConfig;
use crate::client::metadata as client;

/// How long one call to the cluster may take.
const CALL: Duration = Duration::from_secs(10);
/// The first pause before what did not work is tried again; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often settings are looked for that a broker may know of a moment later, with the first pause between.
const LOOKS: u32 = 6;
/// How long a client is listened to for the next word on why it reaches nobody.
const LISTEN: Duration = Duration::from_millis(100);
/// The most words that are listened to.
const EARFUL: u32 = 20;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A topic as it should be.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct WantedTopic {
    /// Its whole name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of each of them.
    pub replicas: i32,
    /// Settings; those that are not named here stay as they are.
    #[serde(default)]
    pub configs: BTreeMap<String, String>,
}

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicReport {
    /// Its whole name.
    pub name: String,
    /// How it is now.
    #[serde(flatten)]
    pub state: TopicState,
}

/// How a topic is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum TopicState {
    /// As it should be, and it was so before.
    Ready,
    /// Made just now.
    Created,
    /// As it should be, now that its settings were changed.
    Altered {
        /// For people, where somebody had changed what nobody may change.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Not as it should be, and it will not be before somebody changes it or the wish.
    Wrong {
        /// One word why, as Strimzi has it.
        reason: Reason,
        /// For people.
        message: String,
    },
    /// Not as it should be, or nobody knows; another try may work.
    Failed {
        /// One word why, as Strimzi has it.
        reason: Reason,
        /// For people.
        message: String,
    },
}

/// Why a topic is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Reason {
    /// It exists, and cannot become what it should be without harm to what is in it.
    NotSupported,
    /// The cluster refuses, or cannot be reached.
    KafkaError,
}

impl TopicState {
    /// Whether the topic can be used.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Ready | Self::Created | Self::Altered { .. })
    }

    /// Whether another try may change it.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// Why a call did not do its work.
#[derive(Debug)]
enum Problem {
    /// No broker answers, whatever it is asked.
    Unreachable(String),
    /// Another try may work.
    Passing(String),
    /// Another try will not work.
    Lasting(String),
}

impl Problem {
    fn of(action: &dyn Display, code: Code) -> Self {
        let message = format!("cannot {action}: {code}");
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::OperationTimedOut => Self::Unreachable(message),
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature => Self::Lasting(message),
            _ => Self::Passing(message),
        }
    }

    fn of_call(action: &dyn Display, error: &KafkaError) -> Self {
        match error {
            KafkaError::AdminOp(code) => Self::of(action, *code),
            KafkaError::AdminOpCreation(_) | KafkaError::Nul(_) => {
                Self::Lasting(format!("cannot {action}: {error}"))
            }
            _ => match error.rdkafka_error_code() {
                Some(code) => Self::of(action, code),
                None => Self::Passing(format!("cannot {action}: {error}")),
            },
        }
    }
}

/// Keeps what the client last said about its connections: what a call says is only that there is none.
#[derive(Default)]
struct Complaints(Mutex<Option<String>>);

impl Complaints {
    fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
struct Context(Arc<Complaints>);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka admin client");
        // That all are down says nothing about why.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for Context {}

/// A topic as it is.
struct Found {
    partitions: usize,
    /// The fewest copies that any of them has.
    replicas: usize,
}

/// Makes and checks topics.
pub struct TopicAdmin {
    client: AdminClient<Context>,
    /// Looks at topics: unlike the other one, this client says what ails it.
    asker: Arc<BaseConsumer<Context>>,
    options: AdminOptions,
    bootstrap_servers: String,
    complaints: Arc<Complaints>,
}

impl TopicAdmin {
    /// A client of the cluster that `config` names. It does not wait for the cluster.
    pub fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let complaints = Arc::<Complaints>::default();
        let context = Context(Arc::clone(&complaints));
        let settings = config.complete(config.asker(), &config.security.read()?);
        Ok(Self {
            client: client::create(&settings, context.clone())?,
            asker: Arc::new(client::create(&settings, context)?),
            options: AdminOptions::new().request_timeout(Some(CALL)).operation_timeout(Some(CALL)),
            bootstrap_servers: config.bootstrap_servers.clone(),
            complaints,
        })
    }

    /// Makes the cluster have these topics. What does not work is tried again, and begun no later than `within` from now.
    pub async fn ensure(&self, wanted: &[WantedTopic], within: Duration) -> Vec<TopicReport> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        let mut states: Vec<Option<TopicState>> = vec![None; wanted.len()];
        loop {
            self.try_all(wanted, &mut states).await;
            let may_pass = states.iter().flatten().any(TopicState::may_pass);
            if !may_pass || began.elapsed() + pause >= within {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        let report = |(wanted, state): (&WantedTopic, Option<TopicState>)| {
            Some(TopicReport { name: wanted.name.clone(), state: state? })
        };
        wanted.iter().zip(states).filter_map(report).collect()
    }

    /// Tries each topic that another try may change.
    async fn try_all(&self, wanted: &[WantedTopic], states: &mut [Option<TopicState>]) {
        let mut unreachable: Option<String> = None;
        for (wanted, state) in wanted.iter().zip(states) {
            if state.as_ref().is_some_and(|state| !state.may_pass()) {
                continue;
            }
            let reason = Reason::KafkaError;
            *state = Some(match &unreachable {
                // The others would wait for the same in vain.
                Some(message) => TopicState::Failed { reason, message: message.clone() },
                None => match self.try_one(wanted).await {
                    Ok(state) => state,
                    Err(Problem::Lasting(message)) => TopicState::Wrong { reason, message },
                    Err(Problem::Passing(message)) => TopicState::Failed { reason, message },
                    Err(Problem::Unreachable(message)) => {
                        let message = self.unreachable(message);
                        unreachable = Some(message.clone());
                        TopicState::Failed { reason, message }
                    }
                },
            });
        }
    }

    fn unreachable(&self, said: String) -> String {
        format!("cannot reach {}: {}", self.bootstrap_servers, self.complaints.last().unwrap_or(said))
    }

    async fn try_one(&self, wanted: &WantedTopic) -> Result<TopicState, Problem> {
        let configs = match pinned::with(&wanted.name, &wanted.configs) {
            Ok(configs) => configs,
            Err(message) => return Ok(TopicState::Wrong { reason: Reason::NotSupported, message }),
        };
        let wanted = &WantedTopic { configs, ..wanted.clone() };
        let Some(found) = self.find(&wanted.name).await? else {
            self.make(wanted).await?;
            return Ok(TopicState::Created);
        };
        if let Some(message) = difference(wanted, &found) {
            return Ok(TopicState::Wrong { reason: Reason::NotSupported, message });
        }
        let settings = self.settings(&wanted.name).await?;
        let differing = differing(wanted, &settings);
        if differing.is_empty() {
            return Ok(TopicState::Ready);
        }
        let message = pinned::changed(&wanted.name, &differing);
        self.alter(wanted, &settings).await?;
        Ok(TopicState::Altered { message })
    }

    /// The topic, if there is one. To ask for it does not make it, whatever the cluster does for others who ask.
    async fn find(&self, name: &str) -> Result<Option<Found>, Problem> {
        const ACTION: &str = "look at it";
        let (asker, topic) = (Arc::clone(&self.asker), name.to_owned());
        let question = move || {
            let answer = asker.fetch_metadata(Some(&topic), CALL);
            if answer.is_err() {
                // Its errors are told to the context on the way.
                (0..EARFUL).take_while(|_| asker.poll(LISTEN).is_some()).for_each(drop);
            }
            answer
        };
        let answer = tokio::task::spawn_blocking(question).await;
        let answer = answer.map_err(|error| Problem::Passing(format!("cannot {ACTION}: {error}")))?;
        let metadata = answer.map_err(|error| Problem::of_call(&ACTION, &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else {
            return Ok(None);
        };
        match found.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(code) => return Err(Problem::of(&ACTION, code)),
        }
        let copies = found.partitions().iter().map(|partition| partition.replicas().len());
        Ok(Some(Found { partitions: found.partitions().len(), replicas: copies.min().unwrap_or(0) }))
    }

    async fn make(&self, wanted: &WantedTopic) -> Result<(), Problem> {
        let action = format!("make it with {} partitions and {} copies", wanted.partitions, wanted.replicas);
        let mut new =
            NewTopic::new(&wanted.name, wanted.partitions, TopicReplication::Fixed(wanted.replicas));
        new.config = wanted.configs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answers = self.client.create_topics([&new], &self.options).await;
        for answer in answers.map_err(|error| Problem::of_call(&action, &error))? {
            answer.map_err(|(_, code)| Problem::of(&action, code))?;
        }
        Ok(())
    }

    /// All settings that the topic has, its own and the brokers'.
    async fn settings(&self, name: &str) -> Result<Vec<ConfigEntry>, Problem> {
        const ACTION: &str = "read its settings";
        for _ in 0..LOOKS {
            let asked = [&ResourceSpecifier::Topic(name)];
            let answers = self.client.describe_configs(asked, &self.options).await;
            let mut settings = Vec::new();
            for answer in answers.map_err(|error| Problem::of_call(&ACTION, &error))? {
                settings.extend(answer.map_err(|code| Problem::of(&ACTION, code))?.entries);
            }
            // A topic always has settings, for those who may see them.
            if !settings.is_empty() {
                return Ok(settings);
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        // The client drops the reason.
        Err(Problem::Lasting(format!("cannot {ACTION}: this user needs the right DescribeConfigs")))
    }

    /// Changes the settings that differ. The call replaces all settings of the topic's own, as the client knows no other,
    /// so those that are not ours are repeated.
    async fn alter(&self, wanted: &WantedTopic, settings: &[ConfigEntry]) -> Result<(), Problem> {
        const ACTION: &str = "change its settings";
        let own = settings.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(&wanted.name));
        change.entries =
            own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?))).collect();
        change.entries.extend(wanted.configs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let answers = self.client.alter_configs([&change], &self.options).await;
        answers.map_err(|error| Problem::of_call(&ACTION, &error))?;
        // The client drops what the cluster said, so we see what it did; a broker may know of it a moment later.
        let mut left = Vec::new();
        for _ in 0..LOOKS {
            let settings = self.settings(&wanted.name).await?;
            left = differing(wanted, &settings).into_iter().map(str::to_owned).collect();
            if left.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        Err(Problem::Lasting(format!(
            "cannot {ACTION} {}: this user needs the right AlterConfigs, or the cluster does not take the values",
            left.join(", ")
        )))
    }
}

/// The names of the settings that are not as they should be.
fn differing<'a>(wanted: &'a WantedTopic, settings: &[ConfigEntry]) -> Vec<&'a str> {
    let has = |(key, value): &(&String, &String)| {
        settings.iter().any(|entry| entry.name == **key && entry.value.as_ref() == Some(*value))
    };
    wanted.configs.iter().filter(|setting| !has(setting)).map(|(key, _)| key.as_str()).collect()
}

/// What is wrong with a topic and stays so.
fn difference(wanted: &WantedTopic, found: &Found) -> Option<String> {
    let other = |has: usize, wanted: i32| usize::try_from(wanted) != Ok(has);
    if other(found.partitions, wanted.partitions) {
        return Some(format!(
            "it has {} partitions instead of {}, and keys would move to others: make another topic of it by hand",
            found.partitions, wanted.partitions
        ));
    }
    other(found.replicas, wanted.replicas).then(|| {
        format!(
            "it has {} copies of its partitions instead of {}: ask for as many, or assign its partitions anew by hand",
            found.replicas, wanted.replicas
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(partitions: i32, replicas: i32) -> WantedTopic {
        WantedTopic { name: "a".into(), partitions, replicas, configs: BTreeMap::new() }
    }

    #[test]
    fn other_partitions_or_copies_are_no_small_thing() {
        let found = Found { partitions: 3, replicas: 2 };
        assert_eq!(difference(&wanted(3, 2), &found), None);
        assert!(difference(&wanted(1, 2), &found).unwrap().starts_with("it has 3 partitions instead of 1"));
        assert!(difference(&wanted(6, 2), &found).unwrap().starts_with("it has 3 partitions instead of 6"));
        assert!(difference(&wanted(3, 3), &found).unwrap().starts_with("it has 2 copies"));
        assert!(difference(&wanted(-1, 2), &found).is_some());
    }

    #[test]
    fn what_a_broker_says_is_for_now_or_for_good() {
        for code in [Code::NotController, Code::LeaderNotAvailable, Code::TopicAlreadyExists] {
            assert!(matches!(Problem::of(&"try", code), Problem::Passing(_)), "{code}");
        }
        for code in [Code::PolicyViolation, Code::InvalidReplicationFactor, Code::ClusterAuthorizationFailed]
        {
            assert!(matches!(Problem::of(&"try", code), Problem::Lasting(_)), "{code}");
        }
        let called = |error| Problem::of_call(&"try", &error);
        assert!(matches!(called(KafkaError::AdminOp(Code::OperationTimedOut)), Problem::Unreachable(_)));
        assert!(matches!(called(KafkaError::MetadataFetch(Code::AllBrokersDown)), Problem::Unreachable(_)));
        assert!(matches!(called(KafkaError::Canceled), Problem::Passing(_)));
    }

    #[test]
    fn a_report_has_its_state_in_one_word() {
        let json = |state| serde_json::to_string(&TopicReport { name: "a".into(), state }).unwrap();
        assert_eq!(json(TopicState::Created), r#"{"name":"a","state":"created"}"#);
        assert_eq!(
            json(TopicState::Wrong { reason: Reason::NotSupported, message: "m".into() }),
            r#"{"name":"a","state":"wrong","reason":"NotSupported","message":"m"}"#
        );
    }
}
