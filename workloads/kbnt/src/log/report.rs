//! What a survey comes to.

use std::fmt::Display;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use kbnt_application::intact::{Fault, TopicIds};
use kbnt_application::{Position, Topic};
use kbnt_embedded::{Proof, Recovery};
use serde_json::{Value, json};

use super::Cuts;
use super::survey::Survey;

/// The exit code of a log with damage.
const DAMAGED: u8 = 3;

/// The exit code of a log whose end is torn or not proven, and in which nothing else is wrong.
const UNPROVEN: u8 = 4;

/// So many records must name an offset that is not there, so that they are believed: anybody may write one.
const BELIEVED: usize = 2;

/// Something that is wrong with a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) topic: Topic,
    pub(super) fault: Fault,
    /// The same for people.
    pub(super) message: String,
}

/// The whole report.
#[derive(Debug)]
pub(super) struct Report {
    survey: Survey,
    pub(super) damage: Vec<Damage>,
    /// What a person may want to know, and that is no damage.
    pub(super) notes: Vec<String>,
    /// Whether the files of a directory prove where the log ends; nothing does on Kafka.
    end_proven: Option<bool>,
}

impl Survey {
    /// What is wrong; topics must have the ids that are `given`, and partitions may begin where they are `cut`.
    pub(super) fn report(self, given: &TopicIds, cut: &Cuts) -> Report {
        let mut report = Report { survey: self, damage: Vec::new(), notes: Vec::new(), end_proven: None };
        report.compare_ids(given);
        report.compare_bounds(cut);
        report.compare_names();
        report
    }
}

impl Report {
    fn damaged(&mut self, topic: Topic, fault: Fault, message: impl Display) {
        self.damage.push(Damage { topic, fault, message: message.to_string() });
    }

    fn compare_ids(&mut self, given: &TopicIds) {
        let other = |(topic, found): (&Topic, &_)| {
            given.get(*topic).filter(|known| known != found).map(|known| (*topic, known, *found))
        };
        let replaced: Vec<_> = self.survey.ids.iter().filter_map(other).collect();
        for (topic, known, found) in replaced {
            let message =
                format!("{} is another topic of the same name, {found} instead of {known}", topic.name());
            self.damaged(topic, Fault::Replaced { known, found }, message);
        }
    }

    /// Event stores have their first record; others may have lost it by age.
    fn compare_bounds(&mut self, cut: &Cuts) {
        let mut lost = Vec::new();
        for (&(topic, partition), found) in &self.survey.partitions {
            let (first, name) = (found.bounds.first, topic.name());
            if found.holes > 0 {
                let holes = found.holes;
                self.notes.push(format!("{name}/{partition} has {holes} offsets without a record"));
            }
            match found.bounds.passed_over(Position { topic, partition, offset: 0 }) {
                Err(_) if cut.get(&(topic, partition)).is_some_and(|cut| first <= *cut) => {
                    self.notes.push(format!(
                        "{name}/{partition} begins at offset {first}: checkpoints stand for the records before it"
                    ));
                }
                Err(fault) => lost.push((
                    topic,
                    fault,
                    format!("{name}/{partition} begins at offset {first}: the records before it are gone"),
                )),
                Ok(_) if first > 0 => {
                    self.notes.push(format!(
                        "{name}/{partition} begins at offset {first}: older records have expired"
                    ));
                }
                Ok(_) => {}
            }
        }
        for (topic, fault, message) in lost {
            self.damaged(topic, fault, message);
        }
    }

    /// No record names one that is not there.
    fn compare_names(&mut self) {
        let mut short = Vec::new();
        for (&(topic, partition), found) in &self.survey.partitions {
            let named = found.named_behind_the_end();
            let (end, name) = (found.bounds.end, topic.name());
            // The furthest one of which at least so many say that it was there, or one behind it.
            let believed = named.len().checked_sub(BELIEVED).and_then(|at| named.get(at));
            if let Some((furthest, by)) = believed {
                let message = format!(
                    "{name}/{partition} ends at offset {end}, and records such as {by} answer later ones, up to offset {furthest}"
                );
                short.push((topic, Fault::Short { partition, wanted: furthest + 1, found: end }, message));
            } else if let Some((offset, by)) = named.first() {
                self.notes.push(format!(
                    "{by} says that it answers {name}/{partition}@{offset}, which is not there; no other record says so"
                ));
            }
        }
        for (topic, fault, message) in short {
            self.damaged(topic, fault, message);
        }
    }

    /// Adds what a directory's own files say.
    pub(super) fn add_files(&mut self, files: &Recovery) {
        for short in &files.short {
            let (end, wanted) = (short.end, short.wanted);
            let fault = Fault::Short { partition: end.partition, wanted, found: end.offset };
            self.damaged(end.topic, fault, short);
        }
        if let Some(torn) = &files.torn {
            self.notes
                .push(format!("{torn}: an unfinished write, of which nothing was acknowledged, or damage"));
        }
        let refused = match &files.proof {
            Proof::Given => None,
            Proof::Missing if files.records == 0 => None,
            Proof::Missing => Some("is missing".to_owned()),
            Proof::Refused(why) => Some(format!("is not believed: {why}")),
        };
        if let Some(why) = &refused {
            self.notes.push(format!("offsets.json {why}: nothing proves where the log ends"));
        }
        self.end_proven = Some(files.torn.is_none() && refused.is_none());
    }

    /// How many records were read.
    pub(super) fn records(&self) -> u64 {
        self.survey.partitions.values().map(|found| found.records).sum()
    }

    pub(super) const fn code(&self) -> u8 {
        match (self.damage.is_empty(), self.end_proven) {
            (false, _) => DAMAGED,
            (true, Some(false)) => UNPROVEN,
            (true, _) => 0,
        }
    }

    /// One row for each partition.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(["TOPIC", "PARTITION", "FIRST", "END", "RECORDS", "UNREADABLE", "TOPIC ID"]);
        for ((topic, partition), found) in &self.survey.partitions {
            let id = self.survey.ids.get(topic).map(ToString::to_string).unwrap_or_default();
            let numbers = [found.bounds.first, found.bounds.end, found.records, found.unreadable];
            let numbers = numbers.map(|number| number.to_string());
            let row = [topic.name().to_owned(), partition.to_string()].into_iter().chain(numbers).chain([id]);
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// The same for programs; damage has the fields of `GET /v1/log`.
    pub(super) fn to_json(&self) -> Value {
        let partition = |((topic, partition), found): (&(Topic, u32), &super::survey::Partition)| {
            json!({
                "topic": topic.name(), "partition": partition, "topicId": self.survey.ids.get(topic).map(ToString::to_string),
                "first": found.bounds.first, "end": found.bounds.end, "records": found.records,
                "unreadable": found.unreadable, "holes": found.holes,
            })
        };
        let damage = |Damage { topic, fault, message }: &Damage| {
            let (wanted, found) = fault.offsets().unzip();
            let (known, id) = fault.ids().unzip();
            json!({
                "topic": topic.name(), "partition": fault.partition(), "kind": fault.kind(), "wanted": wanted, "found": found,
                "knownTopicId": known.map(|id| id.to_string()), "topicId": id.map(|id| id.to_string()), "message": message,
            })
        };
        let partitions: Vec<Value> = self.survey.partitions.iter().map(partition).collect();
        let damages: Vec<Value> = self.damage.iter().map(damage).collect();
        json!({
            "intact": self.damage.is_empty(), "endProven": self.end_proven, "damage": damages, "notes": self.notes,
            "partitions": partitions,
        })
    }
}
