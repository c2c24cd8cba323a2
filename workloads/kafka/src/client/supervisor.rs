//! Looks after the clients of a process: one that does not hear from a cluster which answers others is replaced, and so
//! are all once the credentials have changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use kbnt_application::Topic;
use kbnt_application::ports::LogError;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;

use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::metadata::{self as client, Ask as _, Context};
use crate::client::security::Credentials;

/// How often the clients are looked at.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// How often at most a new client is made only to see whether the cluster answers it.
const PROBE: Duration = Duration::from_secs(5);

/// How often files with credentials are read.
const READ: Duration = Duration::from_secs(5);

/// All clients of a process, and with what they were made.
pub(crate) struct Watch {
    config: Arc<KafkaConfig>,
    /// What a broker has taken, or what we began with.
    credentials: Mutex<Arc<Credentials>>,
    lives: Mutex<Vec<Weak<Life>>>,
    renewed: Arc<AtomicU64>,
    /// Whether the outage was told.
    told: AtomicBool,
    looks: Mutex<Looks>,
}

/// What earlier looks found.
struct Looks {
    probed: Option<Instant>,
    read: Instant,
    /// Changed credentials that no broker has taken yet.
    changed: Option<Arc<Credentials>>,
    /// Why they cannot be read.
    unreadable: Option<String>,
    /// Clients that had been silent for too long at the last look.
    suspects: Vec<Arc<Life>>,
}

impl Watch {
    pub(crate) fn new(config: &Arc<KafkaConfig>) -> Result<Self, LogError> {
        Ok(Self {
            config: Arc::clone(config),
            credentials: Mutex::new(Arc::new(config.security.read()?)),
            lives: Mutex::default(),
            renewed: Arc::default(),
            told: AtomicBool::new(false),
            looks: Mutex::new(Looks {
                probed: None,
                read: Instant::now(),
                changed: None,
                unreadable: None,
                suspects: Vec::new(),
            }),
        })
    }

    /// Looks after a client of this name from now on.
    pub(crate) fn life(&self, name: &'static str) -> Arc<Life> {
        let life = Arc::new(Life::new(name, &self.renewed));
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&life));
        life
    }

    /// These settings and the credentials that count now.
    pub(crate) fn with_credentials(&self, settings: ClientConfig) -> ClientConfig {
        let credentials = Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner));
        self.config.complete(settings, &credentials)
    }

    /// Whether every client hears from the cluster.
    pub(crate) fn is_up(&self) -> bool {
        self.living().iter().all(|life| !life.is_down())
    }

    /// Clients that were replaced.
    pub(crate) fn renewed(&self) -> u64 {
        self.renewed.load(Ordering::Relaxed)
    }

    fn living(&self) -> Vec<Arc<Life>> {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.retain(|life| life.strong_count() > 0);
        lives.iter().filter_map(Weak::upgrade).collect()
    }

    /// Looks at all clients, and condemns those that another one would do better than.
    pub(crate) fn look(&self) {
        let lives = self.living();
        self.tell(lives.iter().any(|life| life.is_down()));
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        self.read_credentials(&mut looks);
        let silent = |life: &&Arc<Life>| life.silence() >= self.config.renew_after && !life.is_condemned();
        let suspects: Vec<_> = lives.iter().filter(silent).cloned().collect();
        // Twice in a row: a process that was stopped for a while finds all of its clients silent.
        let again = |life: &Arc<Life>| looks.suspects.iter().any(|before| Arc::ptr_eq(before, life));
        let suspicion = suspects.iter().any(again);
        looks.suspects = suspects;
        let rested = looks.probed.is_none_or(|at| at.elapsed() >= PROBE);
        if !rested || (!suspicion && looks.changed.is_none()) {
            return;
        }
        looks.probed = Some(Instant::now());
        let current = Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner));
        let credentials = looks.changed.clone().unwrap_or(current);
        if !self.probe(&credentials) {
            return;
        }
        if looks.changed.take().is_some() {
            tracing::info!(operation = "kafka-credentials", "Kafka takes the new credentials");
            *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
            for life in &lives {
                life.condemn();
            }
        } else {
            looks.suspects.iter().filter(silent).for_each(|life| life.condemn());
        }
    }

    fn tell(&self, down: bool) {
        if self.told.swap(down, Ordering::Relaxed) != down {
            if down {
                tracing::warn!(operation = "kafka-down", "no Kafka broker can be reached; trying again");
            } else {
                tracing::info!(operation = "kafka-up", "Kafka answers again");
            }
        }
    }

    fn read_credentials(&self, looks: &mut Looks) {
        if looks.read.elapsed() < READ {
            return;
        }
        looks.read = Instant::now();
        match self.config.security.read() {
            Ok(read) => {
                let current = self.credentials.lock().unwrap_or_else(PoisonError::into_inner);
                looks.changed = (read != **current).then(|| Arc::new(read));
                looks.unreadable = None;
            }
            Err(error) => {
                let error = error.to_string();
                if looks.unreadable.as_ref() != Some(&error) {
                    tracing::warn!(operation = "kafka-credentials", %error, "the Kafka credentials stay as they were");
                }
                looks.unreadable = Some(error);
            }
        }
    }

    /// Whether the cluster answers a client that is new.
    fn probe(&self, credentials: &Credentials) -> bool {
        let life = Arc::new(Life::new("probe", &self.renewed));
        let settings = self.config.complete(self.config.asker(), credentials);
        let made: Result<BaseConsumer<Context>, _> = client::create(&settings, Context::new(&life));
        match made {
            Ok(client) => client.is_answered(&self.config.topic_name(Topic::InventoryEvents)),
            Err(error) => {
                tracing::warn!(operation = "kafka-credentials", %error, "no Kafka client can be made");
                false
            }
        }
    }
}
