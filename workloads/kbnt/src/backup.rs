//! `kbnt backup` and `kbnt restore`: copies of a log elsewhere.

use std::process::ExitCode;

use async_trait::async_trait;
use kbnt_adapters::backup::{self, Deletes};
use kbnt_adapters::clock::SystemClock;
use kbnt_application::Position;
use kbnt_application::ports::{Clock as _, LogError};
use kbnt_embedded::EmbeddedLog;
use kbnt_kafka::admin::TopicAdmin;
use kbnt_kafka::{KafkaConfig, KafkaLog};

use crate::cli::{BackupOptions, RestoreOptions};
use crate::failure::Failure;
use crate::origin;
use crate::output;
use crate::wiring;

pub(crate) async fn run(options: BackupOptions) -> Result<ExitCode, Failure> {
    let log = origin::open_named(&options.from)?;
    let place = wiring::place_to_write(&options.to)?;
    let taken = backup::take(&*log, &place, SystemClock.now()).await?;
    let holes = if taken.holes > 0 {
        format!("; {} offsets have no record (kbnt log verify)", taken.holes)
    } else {
        String::new()
    };
    let to = place.name();
    output::line(&format!(
        "{} records more in {to}, which has {} runs now{holes}",
        taken.records, taken.runs
    ))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn restore(options: RestoreOptions) -> Result<ExitCode, Failure> {
    let place = wiring::place_to_read(&options.from)?;
    let checked = backup::check(&place).await?;
    let older = match checked.passed_over {
        0 => String::new(),
        older => format!("; {older} older ones are left out, as those after them had expired"),
    };
    let what =
        format!("{} records of {} runs, up to {}{older}", checked.records, checked.runs, checked.taken);
    if options.dry_run {
        output::line(&format!("{} can be restored: {what}", place.name()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let restored = if let Some(directory) = &options.to.data_dir {
        backup::restore(&place, &checked, &EmbeddedLog::open(directory)?, None).await?
    } else {
        let config = wiring::kafka_config(&options.to.origin.kafka().ok_or_else(origin::unnamed)?)?;
        let deletes = OnKafka { admin: TopicAdmin::new(&config)?, config: config.clone() };
        backup::restore(&place, &checked, &KafkaLog::new(config)?.keeping_times(), Some(&deletes)).await?
    };
    let before = if restored.there_before > 0 {
        format!(" ({} were there from a restore before)", restored.there_before)
    } else {
        String::new()
    };
    output::line(&format!("{} records are written to {}{before}: {what}", restored.written, options.to))?;
    output::line("verify them before a service starts: kbnt log verify, kbnt audit verify")?;
    Ok(ExitCode::SUCCESS)
}

/// Topics on Kafka.
struct OnKafka {
    admin: TopicAdmin,
    config: KafkaConfig,
}

#[async_trait]
impl Deletes for OnKafka {
    async fn delete_before(&self, first: Position) -> Result<(), LogError> {
        self.admin.delete_before(&self.config.topic_name(first.topic), first.partition, first.offset).await
    }
}
