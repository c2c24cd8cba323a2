//! The broker, through Kafka's own Java tools: a client that shares no code with the product.

use std::time::Duration;

use serde_json::Value;

use super::{Failure, Kubectl, until};

/// One record of a topic.
#[derive(Clone, Debug)]
pub struct Consumed {
    /// The partition.
    pub partition: u32,
    /// The key.
    pub key: String,
    /// The headers as `name:value` pairs with commas between.
    pub headers: String,
    /// The value, parsed.
    pub value: Value,
}

/// The broker of the cluster.
#[derive(Clone, Debug)]
pub struct Kafka {
    kubectl: Kubectl,
    bootstrap: String,
}

impl Default for Kafka {
    fn default() -> Self {
        Self { kubectl: Kubectl::new("kafka"), bootstrap: "kbnt-kafka-bootstrap.kafka.svc:9092".to_owned() }
    }
}

impl Kafka {
    /// All records of `topic` from the first to the present end of each partition; newer ones may be
    /// included.
    pub fn consume(&self, topic: &str) -> Result<Vec<Consumed>, Failure> {
        let ends = self.ends(topic)?;
        // The number of present records: a consumer that waits for silence may end before it begins to read.
        let mut count = ends.iter().sum();
        until(&format!("the records of {topic}"), Duration::from_mins(2), || {
            let records = self.first(count, topic)?;
            // Records that others have appended since count, too, so some of another partition may be
            // missing.
            let read = |partition: usize| {
                records.iter().filter(|record| record.partition as usize == partition).count()
            };
            match ends.iter().enumerate().find(|(partition, end)| (read(*partition) as u64) < **end) {
                None => Ok(records),
                Some((partition, end)) => {
                    count = self.ends(topic)?.iter().sum();
                    Err(Failure(format!("{topic}: {} of {end} of partition {partition}", read(partition))))
                }
            }
        })
    }

    /// `count` records of `topic`, the first ones of each partition.
    fn first(&self, count: u64, topic: &str) -> Result<Vec<Consumed>, Failure> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let properties = [
            "print.partition=true",
            "print.key=true",
            "print.headers=true",
            "key.separator=|",
            "headers.separator=,",
        ];
        let count = count.to_string();
        let mut args = vec!["/opt/kafka/bin/kafka-console-consumer.sh", "--topic", topic, "--from-beginning"];
        args.extend(["--max-messages", &count, "--timeout-ms", "60000"]);
        for property in properties {
            args.extend(["--formatter-property", property]);
        }
        let text = self.exec(&args)?;
        text.lines().filter(|line| line.starts_with("Partition:")).map(parse).collect()
    }

    /// The number of records in each partition of `topic`; none may have been deleted.
    fn ends(&self, topic: &str) -> Result<Vec<u64>, Failure> {
        let text = self.exec(&["/opt/kafka/bin/kafka-get-offsets.sh", "--topic", topic])?;
        ends(&text)
    }

    /// The number of partitions of `topic`; an error if the topic does not exist.
    pub fn partitions(&self, topic: &str) -> Result<u32, Failure> {
        let text = self.exec(&["/opt/kafka/bin/kafka-topics.sh", "--describe", "--topic", topic])?;
        let count = text.split("PartitionCount:").nth(1).and_then(|rest| rest.split_whitespace().next());
        count.and_then(|count| count.parse().ok()).ok_or_else(|| Failure(format!("{topic}: {text}")))
    }

    /// The names of all topics.
    pub fn topics(&self) -> Result<Vec<String>, Failure> {
        Ok(self.exec(&["/opt/kafka/bin/kafka-topics.sh", "--list"])?.lines().map(str::to_owned).collect())
    }

    fn exec(&self, tool: &[&str]) -> Result<String, Failure> {
        let pod = self.kubectl.run(&["get", "pods", "-l", "strimzi.io/name=kbnt-kafka", "-o", "name"])?;
        let pod = pod.lines().next().unwrap_or_default().to_owned();
        let mut args = vec!["exec", pod.as_str(), "--"];
        args.extend(tool);
        args.extend(["--bootstrap-server", self.bootstrap.as_str()]);
        let outcome = self.kubectl.try_run(&args, "")?;
        if outcome.success {
            Ok(outcome.stdout)
        } else {
            Err(Failure(format!("{}: {}{}", tool.join(" "), outcome.stdout, outcome.stderr)))
        }
    }
}

/// Parses lines of `topic:partition:offset`, with the partitions in any order.
fn ends(text: &str) -> Result<Vec<u64>, Failure> {
    let end = |line: &str| {
        let mut numbers = line.trim().rsplit(':').map(str::parse::<u64>);
        let end = numbers.next()?.ok()?;
        Some((numbers.next()?.ok()?, end))
    };
    let wrong = |line: &str| Failure(format!("not as kafka-get-offsets.sh prints: {line}"));
    let mut ends =
        text.lines().map(|line| end(line).ok_or_else(|| wrong(line))).collect::<Result<Vec<_>, _>>()?;
    ends.sort_unstable();
    Ok(ends.into_iter().map(|(_, end)| end).collect())
}

/// `Partition:1|name:value,name:value|key|{...}`
fn parse(line: &str) -> Result<Consumed, Failure> {
    let wrong = || Failure(format!("not as the console consumer prints: {line}"));
    let mut parts = line.splitn(4, '|');
    let mut next = || parts.next().ok_or_else(wrong);
    let partition = next()?.strip_prefix("Partition:").and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let (headers, key, value) = (next()?.to_owned(), next()?.to_owned(), next()?);
    let value = serde_json::from_str(value).map_err(|error| Failure(format!("{error}: {line}")))?;
    Ok(Consumed { partition, key, headers, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_console_consumer_is_understood() {
        let line = r#"Partition:2|ce_id:1,ce_type:x|ORDER|{"eventName":"a|b"}"#;
        let record = parse(line).unwrap();
        assert_eq!((record.partition, record.key.as_str()), (2, "ORDER"));
        assert_eq!(record.value["eventName"], "a|b");
        assert!(parse("Partition:x|a|b|{}").is_err());
    }

    #[test]
    fn the_ends_of_a_topic_are_in_the_order_of_its_partitions() {
        assert_eq!(ends("t:1:7\nt:0:0\nt:2:12\n").unwrap(), [0, 7, 12]);
        assert!(ends("error: no such topic").is_err());
    }
}
