//! What is done to the services and the broker.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::broker::{Broker, signal};
use crate::failure::Failure;
use crate::poison;
use crate::services::{Fleet, ROLES, Service};
use crate::topics::{TOPICS, Topics};

/// How long the inventory's writer is suspended at least; another one is elected meanwhile.
const SUSPENDED: Duration = Duration::from_secs(1);

/// Seconds by which a clock is off.
const MINUTES_OFF: i64 = 180;

/// One way to do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// kill -9 of a service.
    ServiceKilled(&'static str),
    /// kill -9 of the broker.
    BrokerKilled,
    /// The broker is stopped in order, and away for a while.
    BrokerAway,
    /// The broker hangs for a while.
    BrokerSuspended,
    /// The active writer hangs until another one has taken its place, and then goes on.
    WriterSuspended,
    /// The active writer is cut off until another one has taken its place, and then connected again.
    WriterCut,
    /// A service is cut off for a while.
    ServiceCut(&'static str),
    /// A service runs with a clock that is minutes off, for a while.
    ClockOff(&'static str),
    /// The broker's disk is full for a while.
    DiskFull,
    /// Any service hangs for a while.
    ServiceSuspended(&'static str),
    /// A second process of a service comes and goes.
    ServiceScaled(&'static str),
    /// A service reads all of its input again.
    InputReplayed(&'static str),
    /// Records stand in the log once more.
    RecordsDuplicated,
    /// Records of every kind that nobody can handle.
    RecordsPoisoned,
    /// Records stand once more in partitions that are not theirs.
    RecordsMisplaced,
    /// All services are replaced one by one.
    RollingRestart,
}

/// What harm is done to.
#[derive(Debug)]
pub(crate) struct Victims {
    /// The services.
    pub(crate) fleet: Fleet,
    /// The broker.
    pub(crate) broker: Broker,
    /// The topics.
    pub(crate) topics: Topics,
    /// HTTP.
    pub(crate) client: reqwest::Client,
    /// Writers that went on although another one was elected.
    pub(crate) usurpers: u32,
}

impl Fault {
    /// `count` faults: every kind as often as it should be, in an order of chance.
    pub(crate) fn plan(count: usize) -> Vec<Self> {
        let mut plan = Vec::new();
        for round in 0.. {
            let role = ROLES[round % ROLES.len()];
            // Inventory has one writer, which commits nothing.
            let member = if role == "inventory" { "payment" } else { role };
            let mut faults: Vec<Self> = ROLES.map(Self::ServiceKilled).to_vec();
            faults.extend([
                Self::WriterSuspended,
                Self::WriterCut,
                Self::ServiceCut(role),
                Self::RecordsDuplicated,
                Self::RecordsPoisoned,
                Self::RecordsMisplaced,
                Self::ServiceSuspended(role),
                Self::ServiceScaled(member),
                Self::BrokerSuspended,
                Self::BrokerKilled,
            ]);
            if round % 2 == 0 {
                faults.extend([Self::RollingRestart, Self::BrokerAway, Self::ClockOff(role)]);
                faults.push(Self::InputReplayed(member));
            } else {
                faults.extend([Self::DiskFull, Self::ClockOff("inventory")]);
            }
            fastrand::shuffle(&mut faults);
            plan.extend(faults);
            if plan.len() >= count {
                break;
            }
        }
        plan.truncate(count);
        plan
    }

    /// The kind, without the role.
    pub(crate) fn kind(self) -> String {
        let name = format!("{self:?}");
        name.split('(').next().unwrap_or_default().to_owned()
    }

    /// Does it, and undoes it.
    pub(crate) async fn inflict(self, on: &mut Victims) -> Result<(), Failure> {
        let moment = Duration::from_millis(fastrand::u64(..1_000));
        match self {
            Self::ServiceKilled(role) => on.fleet.kill(role, moment).await,
            Self::BrokerKilled => {
                on.broker.kill().await?;
                tokio::time::sleep(moment).await;
                on.broker.start().await.map(drop)
            }
            Self::BrokerAway => {
                on.broker.stop().await?;
                tokio::time::sleep(moment * 6).await;
                on.broker.start().await.map(drop)
            }
            Self::BrokerSuspended => {
                let pid = on.broker.pid().await?;
                signal(&pid, "STOP")?;
                tokio::time::sleep(moment * 5).await;
                signal(&pid, "CONT")
            }
            Self::WriterSuspended => {
                on.fleet.until_one_ready("inventory").await?;
                on.fleet.suspend("inventory")?;
                let second = on.next_writer().await;
                on.fleet.resume("inventory")?;
                on.retire_writer(second?).await
            }
            Self::WriterCut => {
                // One that still recovers is no writer: it would be elected after the second, and rightly go on.
                on.fleet.until_one_ready("inventory").await?;
                let host = on.fleet.host("inventory")?.clone();
                host.cut()?;
                let second = on.next_writer().await;
                host.mend()?;
                on.retire_writer(second?).await
            }
            Self::ServiceCut(role) => {
                let host = on.fleet.host(role)?.clone();
                host.cut()?;
                tokio::time::sleep(moment * 10).await;
                host.mend()
            }
            Self::ClockOff(role) => {
                let skew = if fastrand::bool() { MINUTES_OFF } else { -MINUTES_OFF };
                on.fleet.set_clock(role, Some(skew)).await?;
                on.fleet.until_ready().await?;
                tokio::time::sleep(moment * 3).await;
                on.fleet.set_clock(role, None).await
            }
            Self::DiskFull => {
                on.broker.fill_disk().await?;
                tokio::time::sleep(moment * 3).await;
                on.broker.free_disk().await?;
                // It has given up, or would not notice that there is room again.
                on.broker.kill().await?;
                on.broker.start().await.map(drop)
            }
            Self::ServiceSuspended(role) => {
                on.fleet.suspend(role)?;
                tokio::time::sleep(moment * 5).await;
                on.fleet.resume(role)
            }
            Self::ServiceScaled(role) => {
                let second = on.fleet.second(role)?;
                second.until_ready(&on.client).await?;
                tokio::time::sleep(moment).await;
                second.stop().await
            }
            Self::InputReplayed(role) => {
                let group = format!("kbnt-{role}-service");
                on.fleet.replace(role, on.broker.rewind(&group)).await
            }
            Self::RecordsDuplicated => on.duplicate().await,
            Self::RecordsPoisoned => {
                for (topic, partitions) in tolerant() {
                    let partition = fastrand::i32(0..partitions);
                    on.topics.write(topic, partition, poison::records()).await?;
                }
                Ok(())
            }
            Self::RecordsMisplaced => on.misplace().await,
            Self::RollingRestart => {
                for role in ROLES {
                    on.fleet.replace(role, async { Ok(()) }).await?;
                    on.fleet.until_ready().await?;
                }
                Ok(())
            }
        }
    }
}

impl Victims {
    /// Another process of inventory-service, once it is the elected writer.
    async fn next_writer(&mut self) -> Result<Service, Failure> {
        let second = self.fleet.second("inventory")?;
        tokio::time::sleep(SUSPENDED).await;
        second.until_ready(&self.client).await?;
        Ok(second)
    }

    /// The writer before must find out that it is not the writer any more, and end by itself. Then it starts again as the
    /// next one, and the second one must end in turn.
    async fn retire_writer(&mut self, second: Service) -> Result<(), Failure> {
        match self.fleet.until_ended("inventory").await {
            Err(Failure::Late(_)) => self.usurpers += 1,
            ended => ended?,
        }
        second.stop().await
    }

    async fn duplicate(&self) -> Result<(), Failure> {
        for (topic, partitions) in tolerant().filter(|(topic, _)| *topic != "application-logs") {
            for partition in 0..partitions {
                let some = self.topics.some(topic, partition, 50).await?;
                if !some.is_empty() {
                    self.topics.write(topic, partition, some).await?;
                }
            }
        }
        Ok(())
    }

    /// Nobody may act upon them: they must be kept as dead letters, as poison must.
    async fn misplace(&self) -> Result<(), Failure> {
        for (topic, partitions) in tolerant().filter(|(topic, _)| *topic != "application-logs") {
            let from = fastrand::i32(0..partitions);
            let to = (from + fastrand::i32(1..partitions)) % partitions;
            let some = self.topics.some(topic, from, 50).await?;
            let misplaced = poison::misplaced(some);
            if !misplaced.is_empty() {
                self.topics.write(topic, to, misplaced).await?;
            }
        }
        Ok(())
    }
}

/// Topics in which there may be anything. In the audit trail it would be what `kbnt audit verify` is there to find.
fn tolerant() -> impl Iterator<Item = (&'static str, i32)> {
    TOPICS.into_iter().filter(|(topic, _)| *topic != "audit-logs")
}

/// How often each kind was done.
pub(crate) fn count(plan: &[Fault]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for fault in plan {
        *kinds.entry(fault.kind()).or_default() += 1;
    }
    kinds
}
