//! `kbnt log cut`: deletes the oldest records of the event stores, as far as nobody needs them.

use std::process::ExitCode;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use kbnt_adapters::clock::SystemClock;
use kbnt_application::cut::{self, Cut, Kept, Need, Reader};
use kbnt_application::intact::{Bounds, TopicIds};
use kbnt_application::partition_state::Limits;
use kbnt_application::ports::{Clock as _, EventLog};
use kbnt_application::projections::{BookLimits, OrderBook};
use kbnt_application::{Position, Projection as _, Service, Topic};
use kbnt_domain::{Span, Timestamp};
use kbnt_kafka::admin::{Offsets, TopicAdmin};
use kbnt_kafka::{KafkaConfig, KafkaLog};
use serde_json::{Value, json};

use super::checkpoints::Checkpointed;
use crate::cli::LogCutOptions;
use crate::failure::Failure;
use crate::output;
use crate::wiring;

/// The exit code if nothing is cut, as something is missing that must be there before.
const REFUSED: u8 = 3;

/// The log, and what is asked about it beside its records.
struct Subject {
    log: KafkaLog,
    offsets: Offsets,
    kept: Kept,
}

pub(crate) async fn run(options: LogCutOptions) -> Result<ExitCode, Failure> {
    let config = wiring::kafka_config(&options.kafka())?;
    let subject = Subject::of(config.clone(), &options.topic_ids.ids).await?;
    let checkpointed = Checkpointed::of(&options.checkpoints, &subject.log).await?;
    for reason in &checkpointed.refused {
        output::print_error(format_args!("{reason}; it counts for nothing"));
    }
    let waived = |service: &Service| *service == Service::Order && options.without_history;
    let lacking: Vec<&Service> = checkpointed.lacking.iter().filter(|service| !waived(service)).collect();
    for service in &lacking {
        let name = service.name();
        output::print_error(format_args!("{name} has no checkpoint of this log there: nothing is cut"));
    }
    if !lacking.is_empty() {
        return Ok(REFUSED.into());
    }
    let mut needs = checkpointed.needs.clone();
    needs.extend(subject.standing(&options).await?);
    let wanted = cut::wanted(&subject.kept, &needs);
    let counting = checkpointed.counting_at(&subject.log, &wanted).await?;
    let cuts = cut::to_records_that_count(wanted, &counting);
    if !options.dry_run {
        let admin = TopicAdmin::new(&config)?;
        for Cut { to, .. } in cuts.iter().filter(|cut| cut.records > 0) {
            admin.delete_before(&config.topic_name(to.topic), to.partition, to.offset).await?;
        }
    }
    show(&cuts, &options)?;
    Ok(ExitCode::SUCCESS)
}

impl Subject {
    /// What the cluster keeps of the event stores, if they are those that are given.
    async fn of(config: KafkaConfig, given: &TopicIds) -> Result<Self, Failure> {
        let (log, offsets) = (KafkaLog::new(config.clone())?, Offsets::new(config));
        let mut kept = Kept::new();
        for topic in stores() {
            let found = log.topic_id(topic).await?;
            if let Some(known) = given.get(topic).filter(|known| *known != found) {
                let name = topic.name();
                return Err(Failure::Refused(format!(
                    "{name} is another topic of the same name, {found} instead of {known}"
                )));
            }
            for partition in 0..topic.partitions() {
                kept.insert((topic, partition), log.bounds(topic, partition).await?);
            }
        }
        Ok(Self { log, offsets, kept })
    }

    /// What is needed beside what checkpoints read.
    async fn standing(&self, options: &LogCutOptions) -> Result<Vec<Need>, Failure> {
        let mut needs = Vec::new();
        for service in [Service::User, Service::Order, Service::Payment] {
            let (reader, records) = (Reader::LooksBack(service), Limits::default().looks_back());
            needs.extend(Need::looking_back(reader, service.output(), records, &self.kept));
        }
        let book = OrderBook::new(BookLimits::default());
        for topic in stores() {
            let records = book.looks_back().unwrap_or(u64::MAX);
            needs.extend(Need::looking_back(Reader::ReadModels, topic, records, &self.kept));
        }
        for service in Service::ALL.into_iter().filter(|service| *service != Service::Inventory) {
            needs.extend(self.of_group(service).await?);
        }
        let keep = Span::from_millis(u64::try_from(options.keep.as_millis()).unwrap_or(u64::MAX));
        needs.extend(self.since(SystemClock.now() - keep).await?);
        Ok(needs)
    }

    /// What the members of a service's group read. Where it has committed nothing for the topic that is there, they read all of it.
    async fn of_group(&self, service: Service) -> Result<Vec<Need>, Failure> {
        let mut needs = Vec::new();
        let committed = self.offsets.committed(service).await?;
        for topic in service.inputs().iter().copied().filter(|topic| topic.is_event_store()) {
            let id = self.log.topic_id(topic).await?;
            for (partition, kept) in self.partitions(topic).filter(|(_, kept)| kept.end > 0) {
                let of = committed.iter().find(|of| {
                    (of.next.topic, of.next.partition) == (topic, partition) && of.topic_id == Some(id)
                });
                let next = of.map_or(Position { topic, partition, offset: 0 }, |of| of.next);
                needs.push(Need::committed(service, Position { offset: next.offset.min(kept.end), ..next }));
            }
        }
        Ok(needs)
    }

    /// What was written since then.
    async fn since(&self, time: Timestamp) -> Result<Vec<Need>, Failure> {
        let ends = self.kept.iter().map(|(&(topic, partition), kept)| Position {
            topic,
            partition,
            offset: kept.end,
        });
        let first = self.offsets.written_since(time, ends.collect()).await?;
        Ok(first.into_iter().map(|at| Need { reader: Reader::Wish, at }).collect())
    }

    fn partitions(&self, topic: Topic) -> impl Iterator<Item = (u32, Bounds)> {
        self.kept
            .iter()
            .filter(move |((of, _), _)| *of == topic)
            .map(|((_, partition), kept)| (*partition, *kept))
    }
}

fn stores() -> impl Iterator<Item = Topic> {
    Topic::EVENTS.into_iter().filter(|topic| topic.is_event_store())
}

fn show(cuts: &[Cut], options: &LogCutOptions) -> Result<(), Failure> {
    let records: u64 = cuts.iter().map(|cut| cut.records).sum();
    if options.json {
        let cut = |cut: &Cut| {
            json!({
                "topic": cut.to.topic.name(), "partition": cut.to.partition, "first": cut.to.offset - cut.records,
                "to": cut.to.offset, "records": cut.records, "keptFor": cut.by.map(|by| by.to_string()),
            })
        };
        let cuts: Vec<Value> = cuts.iter().map(cut).collect();
        return output::json(&json!({"dryRun": options.dry_run, "records": records, "partitions": cuts}));
    }
    output::page(table(cuts))?;
    let done = if options.dry_run { "would be" } else { "are" };
    output::line(&format!("{records} records {done} deleted"))
}

/// One row for each partition.
fn table(cuts: &[Cut]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic).set_header([
        "TOPIC",
        "PARTITION",
        "FIRST",
        "CUT TO",
        "RECORDS",
        "THE REST IS KEPT FOR",
    ]);
    for Cut { to, records, by } in cuts {
        let numbers = [u64::from(to.partition), to.offset - records, to.offset, *records]
            .map(|number| number.to_string());
        let by = by.map(|by| by.to_string()).unwrap_or_default();
        table.add_row([to.topic.name().to_owned()].into_iter().chain(numbers).chain([by]));
    }
    for column in table.column_iter_mut().skip(1).take(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
