//! Creates and checks topics.

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
use rdkafka::{Offset, TopicPartitionList};

use super::pinned_settings;
use super::problem::Problem;
use super::topic_report::{Reason, TopicReport, TopicState, WantedTopic};
use crate::client::config::KafkaConfig;
use crate::client::{error, metadata, partition_id};

/// Timeout of one call to the cluster.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause before the first retry; each later pause is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause before a retry.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many times settings are read, with [`FIRST_PAUSE`] in between, as a broker may learn of them a moment later.
const SETTINGS_READS: u32 = 6;
/// How long one poll waits for another error that explains why the client reaches no broker.
const ERROR_POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The most polls for such errors.
const ERROR_POLLS: u32 = 20;

/// Keeps the last connection error of a client, as a failed call says only that there is no connection.
#[derive(Default)]
struct LastError(Mutex<Option<String>>);

impl LastError {
    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

#[derive(Clone)]
struct AdminContext(Arc<LastError>);

impl ClientContext for AdminContext {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka admin client error");
        // That all brokers are down does not say why.
        if error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            self.0.set(reason);
        }
    }
}

impl ConsumerContext for AdminContext {}

/// A topic as it is.
struct FoundTopic {
    partitions: usize,
    /// The smallest number of replicas that any of its partitions has.
    replicas: usize,
}

/// Creates and checks topics.
pub struct TopicAdmin {
    client: AdminClient<AdminContext>,
    /// Fetches metadata: unlike the admin client, a consumer reports its connection errors.
    metadata: Arc<BaseConsumer<AdminContext>>,
    options: AdminOptions,
    bootstrap_servers: String,
    last_error: Arc<LastError>,
}

impl TopicAdmin {
    /// Deletes the records of a partition before `offset`. `topic` is its whole name.
    ///
    /// # Errors
    /// The cluster does not answer, or refuses: there is no such partition, it ends before `offset`, or the client may not.
    pub async fn delete_before(&self, topic: &str, partition: u32, offset: u64) -> Result<(), LogError> {
        let failed = |error: KafkaError| error::of_partition(&error, topic, partition);
        let mut before = TopicPartitionList::new();
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        before.add_partition_offset(topic, partition_id(partition), offset).map_err(failed)?;
        let deleted = self.client.delete_records(&before, &self.options).await.map_err(failed)?;
        deleted.elements().iter().try_for_each(|element| element.error().map_err(failed))
    }

    /// A client of the cluster that `config` names. Does not wait for the cluster.
    pub fn new(config: &KafkaConfig) -> Result<Self, LogError> {
        let last_error = Arc::<LastError>::default();
        let context = AdminContext(Arc::clone(&last_error));
        let settings = config.with_credentials(config.metadata_client(), &config.security.read()?);
        Ok(Self {
            client: metadata::create(&settings, context.clone())?,
            metadata: Arc::new(metadata::create(&settings, context)?),
            options: AdminOptions::new()
                .request_timeout(Some(CALL_TIMEOUT))
                .operation_timeout(Some(CALL_TIMEOUT)),
            bootstrap_servers: config.bootstrap_servers.clone(),
            last_error,
        })
    }

    /// Makes the cluster have these topics. Retries what fails; the last retry starts no later than `within` from now.
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

    /// Tries each topic that is new or may succeed in a retry.
    async fn try_all(&self, wanted: &[WantedTopic], states: &mut [Option<TopicState>]) {
        let mut unreachable: Option<String> = None;
        for (wanted, state) in wanted.iter().zip(states) {
            if state.as_ref().is_some_and(|state| !state.may_pass()) {
                continue;
            }
            let reason = Reason::KafkaError;
            *state = Some(match &unreachable {
                // The other topics would only wait for the same timeout.
                Some(message) => TopicState::Failed { reason, message: message.clone() },
                None => match self.try_one(wanted).await {
                    Ok(state) => state,
                    Err(Problem::Permanent(message)) => TopicState::Wrong { reason, message },
                    Err(Problem::Transient(message)) => TopicState::Failed { reason, message },
                    Err(Problem::Unreachable(message)) => {
                        let message = self.unreachable(message);
                        unreachable = Some(message.clone());
                        TopicState::Failed { reason, message }
                    }
                },
            });
        }
    }

    fn unreachable(&self, message: String) -> String {
        format!("cannot reach {}: {}", self.bootstrap_servers, self.last_error.get().unwrap_or(message))
    }

    async fn try_one(&self, wanted: &WantedTopic) -> Result<TopicState, Problem> {
        let configs = match pinned_settings::with_pinned(&wanted.name, &wanted.configs) {
            Ok(configs) => configs,
            Err(message) => return Ok(TopicState::Wrong { reason: Reason::NotSupported, message }),
        };
        let wanted = &WantedTopic { configs, ..wanted.clone() };
        let Some(found) = self.find(&wanted.name).await? else {
            self.create(wanted).await?;
            return Ok(TopicState::Created);
        };
        if let Some(message) = unsupported_difference(wanted, &found) {
            return Ok(TopicState::Wrong { reason: Reason::NotSupported, message });
        }
        let settings = self.settings(&wanted.name).await?;
        let differing = differing_settings(wanted, &settings);
        if differing.is_empty() {
            return Ok(TopicState::Ready);
        }
        let message = pinned_settings::changed_message(&wanted.name, &differing);
        self.alter(wanted, &settings).await?;
        Ok(TopicState::Altered { message })
    }

    /// The topic, if it exists. The request does not create it, even where brokers create topics automatically.
    async fn find(&self, name: &str) -> Result<Option<FoundTopic>, Problem> {
        const ACTION: &str = "look at it";
        let (client, topic) = (Arc::clone(&self.metadata), name.to_owned());
        let request = move || {
            let answer = client.fetch_metadata(Some(&topic), CALL_TIMEOUT);
            if answer.is_err() {
                // Polling passes the client's errors to its context.
                (0..ERROR_POLLS).take_while(|_| client.poll(ERROR_POLL_TIMEOUT).is_some()).for_each(drop);
            }
            answer
        };
        let answer = tokio::task::spawn_blocking(request).await;
        let answer = answer.map_err(|error| Problem::Transient(format!("cannot {ACTION}: {error}")))?;
        let metadata = answer.map_err(|error| Problem::of_error(&ACTION, &error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == name) else {
            return Ok(None);
        };
        match found.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(code) => return Err(Problem::of_code(&ACTION, code)),
        }
        let replicas = found.partitions().iter().map(|partition| partition.replicas().len());
        Ok(Some(FoundTopic { partitions: found.partitions().len(), replicas: replicas.min().unwrap_or(0) }))
    }

    async fn create(&self, wanted: &WantedTopic) -> Result<(), Problem> {
        let action = format!("make it with {} partitions and {} copies", wanted.partitions, wanted.replicas);
        let mut new =
            NewTopic::new(&wanted.name, wanted.partitions, TopicReplication::Fixed(wanted.replicas));
        new.config = wanted.configs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answers = self.client.create_topics([&new], &self.options).await;
        for answer in answers.map_err(|error| Problem::of_error(&action, &error))? {
            answer.map_err(|(_, code)| Problem::of_code(&action, code))?;
        }
        Ok(())
    }

    /// All settings of the topic: its own, and those that it inherits from the brokers.
    async fn settings(&self, name: &str) -> Result<Vec<ConfigEntry>, Problem> {
        const ACTION: &str = "read its settings";
        for _ in 0..SETTINGS_READS {
            let resources = [&ResourceSpecifier::Topic(name)];
            let answers = self.client.describe_configs(resources, &self.options).await;
            let mut settings = Vec::new();
            for answer in answers.map_err(|error| Problem::of_error(&ACTION, &error))? {
                settings.extend(answer.map_err(|code| Problem::of_code(&ACTION, code))?.entries);
            }
            // A user who may describe them always gets some.
            if !settings.is_empty() {
                return Ok(settings);
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        // The client drops the reason.
        Err(Problem::Permanent(format!("cannot {ACTION}: this user needs the right DescribeConfigs")))
    }

    /// Changes the settings that differ. The only call that rdkafka offers replaces all of the topic's own settings, so this repeats
    /// those that are not wanted here.
    async fn alter(&self, wanted: &WantedTopic, settings: &[ConfigEntry]) -> Result<(), Problem> {
        const ACTION: &str = "change its settings";
        let own = settings.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let mut change = AlterConfig::new(ResourceSpecifier::Topic(&wanted.name));
        change.entries =
            own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?))).collect();
        change.entries.extend(wanted.configs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let answers = self.client.alter_configs([&change], &self.options).await;
        answers.map_err(|error| Problem::of_error(&ACTION, &error))?;
        // The client drops the answer of the cluster, so we read the settings again. A broker may learn of them a moment later.
        let mut left = Vec::new();
        for _ in 0..SETTINGS_READS {
            let settings = self.settings(&wanted.name).await?;
            left = differing_settings(wanted, &settings).into_iter().map(str::to_owned).collect();
            if left.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        Err(Problem::Permanent(format!(
            "cannot {ACTION} {}: this user needs the right AlterConfigs, or the cluster does not take the values",
            left.join(", ")
        )))
    }
}

/// The names of the settings that are not as wanted.
fn differing_settings<'a>(wanted: &'a WantedTopic, settings: &[ConfigEntry]) -> Vec<&'a str> {
    let has = |(key, value): &(&String, &String)| {
        settings.iter().any(|entry| entry.name == **key && entry.value.as_ref() == Some(*value))
    };
    wanted.configs.iter().filter(|setting| !has(setting)).map(|(key, _)| key.as_str()).collect()
}

/// Describes a difference that this program does not change.
fn unsupported_difference(wanted: &WantedTopic, found: &FoundTopic) -> Option<String> {
    let differs = |found: usize, wanted: i32| usize::try_from(wanted) != Ok(found);
    if differs(found.partitions, wanted.partitions) {
        return Some(format!(
            "it has {} partitions instead of {}, and a change would move keys to other partitions: copy it to a new topic by hand",
            found.partitions, wanted.partitions
        ));
    }
    differs(found.replicas, wanted.replicas).then(|| {
        format!(
            "it has {} copies of its partitions instead of {}: ask for as many, or reassign its partitions by hand",
            found.replicas, wanted.replicas
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn wanted(partitions: i32, replicas: i32) -> WantedTopic {
        WantedTopic { name: "a".into(), partitions, replicas, configs: BTreeMap::new() }
    }

    #[test]
    fn other_partitions_or_replicas_are_not_changed() {
        let found = FoundTopic { partitions: 3, replicas: 2 };
        let difference = |wanted: &WantedTopic| unsupported_difference(wanted, &found);
        assert_eq!(difference(&wanted(3, 2)), None);
        assert!(difference(&wanted(1, 2)).unwrap().starts_with("it has 3 partitions instead of 1"));
        assert!(difference(&wanted(6, 2)).unwrap().starts_with("it has 3 partitions instead of 6"));
        assert!(difference(&wanted(3, 3)).unwrap().starts_with("it has 2 copies"));
        assert!(difference(&wanted(-1, 2)).is_some());
    }
}
