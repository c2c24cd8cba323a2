//! The rebalances of a consumer group, queued for the worker to handle between two polls.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;

use super::group_worker::MemberState;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata;
use crate::client::thread::StopFlag;

/// A change of the assigned partitions of the output topic.
pub(crate) enum Rebalance {
    Assigned(Vec<u32>),
    Revoked {
        partitions: Vec<u32>,
        /// Another member owns them already, so their offsets can no longer be committed.
        lost: bool,
    },
}

/// The context of a group member's consumer.
pub(crate) struct RebalanceContext {
    health: Arc<ConnectionHealth>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The input partitions that the consumer reads, to be given back at once when it closes.
    inputs: Mutex<TopicPartitionList>,
    /// The worker stops.
    stop: StopFlag,
    /// This consumer closes.
    closing: StopFlag,
}

impl RebalanceContext {
    pub(crate) fn new(state: &MemberState) -> Self {
        Self {
            health: Arc::clone(&state.health),
            rebalances: Mutex::default(),
            inputs: Mutex::new(TopicPartitionList::new()),
            stop: state.stop.clone(),
            closing: StopFlag::default(),
        }
    }

    /// The next rebalance to handle.
    pub(crate) fn next(&self) -> Option<Rebalance> {
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The input partitions that the consumer reads.
    pub(crate) fn inputs(&self) -> TopicPartitionList {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_inputs(&self, inputs: TopicPartitionList) {
        *self.inputs.lock().unwrap_or_else(PoisonError::into_inner) = inputs;
    }

    /// From now on, gives revoked partitions back at once, as the worker no longer handles rebalances of this consumer.
    pub(crate) fn close(&self) {
        self.closing.set();
    }
}

impl ClientContext for RebalanceContext {
    fn error(&self, error: KafkaError, reason: &str) {
        metadata::record_error(&self.health, &error, reason);
    }
}

impl ConsumerContext for RebalanceContext {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let assigned = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if !assigned && (self.stop.is_set() || self.closing.is_set()) {
            let mut inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
            let inputs = std::mem::replace(&mut *inputs, TopicPartitionList::new());
            if let Err(error) = consumer.incremental_unassign(&inputs) {
                tracing::warn!(%error, "cannot give partitions back");
            }
            return;
        }
        let partitions = tpl.elements().iter().filter_map(|e| u32::try_from(e.partition()).ok()).collect();
        let rebalance = if assigned {
            Rebalance::Assigned(partitions)
        } else {
            Rebalance::Revoked { partitions, lost: consumer.assignment_lost() }
        };
        self.rebalances.lock().unwrap_or_else(PoisonError::into_inner).push_back(rebalance);
    }
}
