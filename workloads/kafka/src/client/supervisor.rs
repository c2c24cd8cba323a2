//! Supervises the clients of a process. It renews a client that hears nothing from a cluster which answers others, and all clients
//! when the credentials change.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use kbnt_application::Topic;
use kbnt_application::ports::LogError;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

use super::config::KafkaConfig;
use super::connection_health::ConnectionHealth;
use super::metadata::{self, HealthContext, MetadataClient as _};
use super::security::Credentials;

/// How often the clients are checked.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two probes of the cluster with a new client.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How often the credential files are read.
const CREDENTIALS_INTERVAL: Duration = Duration::from_secs(5);

/// All clients of a process, and their credentials.
pub(crate) struct ClientSupervisor {
    config: Arc<KafkaConfig>,
    /// Those that a broker accepted last; at first those that the process started with.
    credentials: Mutex<Arc<Credentials>>,
    clients: Mutex<Vec<Weak<ConnectionHealth>>>,
    renewals: Arc<AtomicU64>,
    outage_logged: AtomicBool,
    checks: Mutex<CheckState>,
}

/// What earlier checks found.
struct CheckState {
    last_probe: Option<Instant>,
    credentials_read: Instant,
    /// Changed credentials that no broker has accepted yet.
    new_credentials: Option<Arc<Credentials>>,
    /// Why the credentials could not be read.
    credentials_error: Option<String>,
    /// Clients that were silent for too long at the last check.
    silent: Vec<Arc<ConnectionHealth>>,
}

impl ClientSupervisor {
    /// Reads the credentials.
    pub(crate) fn new(config: &Arc<KafkaConfig>) -> Result<Self, LogError> {
        Ok(Self {
            config: Arc::clone(config),
            credentials: Mutex::new(Arc::new(config.security.read()?)),
            clients: Mutex::default(),
            renewals: Arc::default(),
            outage_logged: AtomicBool::new(false),
            checks: Mutex::new(CheckState {
                last_probe: None,
                credentials_read: Instant::now(),
                new_credentials: None,
                credentials_error: None,
                silent: Vec::new(),
            }),
        })
    }

    /// Supervises a client with this name for as long as the returned health is in use.
    pub(crate) fn register(&self, client: &'static str) -> Arc<ConnectionHealth> {
        let health = Arc::new(ConnectionHealth::new(client, &self.renewals));
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&health));
        health
    }

    /// Adds the current credentials to these settings.
    pub(crate) fn with_credentials(&self, settings: ClientConfig) -> ClientConfig {
        let credentials = Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner));
        self.config.with_credentials(settings, &credentials)
    }

    /// Whether every client reaches the cluster.
    pub(crate) fn is_up(&self) -> bool {
        self.clients().iter().all(|client| !client.is_unreachable())
    }

    /// The number of renewals of clients.
    pub(crate) fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }

    fn clients(&self) -> Vec<Arc<ConnectionHealth>> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|client| client.strong_count() > 0);
        clients.iter().filter_map(Weak::upgrade).collect()
    }

    /// Checks all clients, and requests a renewal where a new client would do better.
    pub(crate) fn check(&self) {
        let clients = self.clients();
        self.log_outage(clients.iter().any(|client| client.is_unreachable()));
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_credentials(&mut checks);
        let is_silent = |client: &&Arc<ConnectionHealth>| {
            client.silence() >= self.config.renew_after && !client.is_renewal_due()
        };
        let silent: Vec<_> = clients.iter().filter(is_silent).cloned().collect();
        // Two checks in a row: all clients are silent in a process that was suspended for a while.
        let again = |client: &Arc<ConnectionHealth>| checks.silent.iter().any(|was| Arc::ptr_eq(was, client));
        let suspicious = silent.iter().any(again);
        checks.silent = silent;
        let may_probe = checks.last_probe.is_none_or(|at| at.elapsed() >= PROBE_INTERVAL);
        if !may_probe || (!suspicious && checks.new_credentials.is_none()) {
            return;
        }
        checks.last_probe = Some(Instant::now());
        let current = Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner));
        let credentials = checks.new_credentials.clone().unwrap_or(current);
        if !self.probe(&credentials) {
            return;
        }
        if checks.new_credentials.take().is_some() {
            tracing::info!(operation = "kafka-credentials", "Kafka accepts the new credentials");
            *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
            for client in &clients {
                client.request_renewal();
            }
        } else {
            checks.silent.iter().filter(is_silent).for_each(|client| client.request_renewal());
        }
    }

    /// Logs the beginning and the end of an outage.
    fn log_outage(&self, down: bool) {
        if self.outage_logged.swap(down, Ordering::Relaxed) != down {
            if down {
                tracing::warn!(operation = "kafka-down", "no Kafka broker can be reached; retrying");
            } else {
                tracing::info!(operation = "kafka-up", "Kafka can be reached again");
            }
        }
    }

    fn read_credentials(&self, checks: &mut CheckState) {
        if checks.credentials_read.elapsed() < CREDENTIALS_INTERVAL {
            return;
        }
        checks.credentials_read = Instant::now();
        match self.config.security.read() {
            Ok(read) => {
                let current = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
                checks.new_credentials = (read != **current).then(|| Arc::new(read));
                checks.credentials_error = None;
            }
            Err(error) => {
                let error = error.to_string();
                if checks.credentials_error.as_ref() != Some(&error) {
                    tracing::warn!(operation = "kafka-credentials", %error, "cannot read the Kafka credentials; keeping the old ones");
                }
                checks.credentials_error = Some(error);
            }
        }
    }

    /// Whether the cluster responds to a new client with these credentials.
    fn probe(&self, credentials: &Credentials) -> bool {
        let health = Arc::new(ConnectionHealth::new("probe", &self.renewals));
        let settings = self.config.with_credentials(self.config.metadata_client(), credentials);
        let created: Result<BaseConsumer<HealthContext>, _> =
            metadata::create(&settings, HealthContext::new(&health));
        match created {
            Ok(client) => client.probe(&self.config.topic_name(Topic::InventoryEvents)),
            Err(error) => {
                tracing::warn!(operation = "kafka-credentials", %error, "cannot create a Kafka client");
                false
            }
        }
    }
}
