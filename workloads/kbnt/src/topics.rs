//! `kbnt topics ensure`: makes and corrects the topics of a cluster.

use std::path::Path;
use std::process::ExitCode;

use kbnt_kafka::admin::{TopicAdmin, TopicReport, TopicState, WantedTopic};
use serde::Serialize;

use crate::cli::EnsureOptions;
use crate::failure::Failure;
use crate::output;
use crate::wiring;

/// The longest report that Kubernetes takes, in bytes.
const LONGEST: usize = 4096;

/// The outcome for each topic.
#[derive(Serialize)]
struct Report<'a> {
    topics: &'a [TopicReport],
    /// Topics that did not fit.
    #[serde(skip_serializing_if = "is_zero")]
    omitted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(crate) async fn run(options: EnsureOptions) -> Result<ExitCode, Failure> {
    let outcome = ensure(&options).await;
    if let (Err(failure), Some(path)) = (&outcome, &options.report_file) {
        // A reader of this file alone must learn it, too.
        write(path, &failure.to_string())?;
    }
    let topics = outcome?;
    if let Some(path) = &options.report_file {
        write(path, &shortened(&topics, LONGEST))?;
    }
    output::bytes(format!("{}\n", output::plain_json(&json(&topics, 0))).as_bytes())?;
    Ok(code(&topics))
}

async fn ensure(options: &EnsureOptions) -> Result<Vec<TopicReport>, Failure> {
    let wanted: Vec<WantedTopic> = wiring::wanted_topics(options)?;
    let admin = TopicAdmin::new(&wiring::kafka_config(&options.kafka())?)?;
    Ok(admin.ensure(&wanted, options.within).await)
}

/// Whether everything is done, another try may help, or none will.
fn code(topics: &[TopicReport]) -> ExitCode {
    if topics.iter().any(|topic| topic.state.may_pass()) {
        ExitCode::from(2)
    } else if topics.iter().all(|topic| topic.state.is_done()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure::File { path: path.to_owned(), error })
}

fn json(topics: &[TopicReport], omitted: usize) -> String {
    // Texts and numbers can always be written.
    serde_json::to_string(&Report { topics, omitted }).unwrap_or_default()
}

/// The report in at most `most` bytes: with shorter messages, or else with fewer topics, where those that are
/// wrong come first.
fn shortened(topics: &[TopicReport], most: usize) -> String {
    let mut topics = topics.to_vec();
    for length in [usize::MAX, 500, 200, 80] {
        for topic in &mut topics {
            cut(&mut topic.state, length);
        }
        let text = json(&topics, 0);
        if text.len() <= most {
            return text;
        }
    }
    topics.sort_by_key(|topic| topic.state.is_done());
    let all = topics.len();
    while topics.pop().is_some() {
        let text = json(&topics, all - topics.len());
        if text.len() <= most {
            return text;
        }
    }
    String::new()
}

/// Cuts the message to this many characters.
fn cut(state: &mut TopicState, length: usize) {
    let (TopicState::Wrong { message, .. }
    | TopicState::Failed { message, .. }
    | TopicState::Altered { message: Some(message) }) = state
    else {
        return;
    };
    if let Some((end, _)) = message.char_indices().nth(length) {
        message.truncate(end);
        message.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_kafka::admin::Reason;

    fn topic(name: &str, state: TopicState) -> TopicReport {
        TopicReport { name: name.into(), state }
    }

    fn wrong(message: &str) -> TopicState {
        TopicState::Wrong { reason: Reason::NotSupported, message: message.into() }
    }

    #[test]
    fn a_report_fits_and_says_the_most_important_whatever_is_in_it() {
        let few = [topic("a", TopicState::Ready), topic("b", wrong("it has 1 partitions instead of 3"))];
        assert_eq!(shortened(&few, LONGEST), json(&few, 0));
        let long: Vec<_> = (0..7).map(|n| topic(&format!("t{n}"), wrong(&"\u{e9}".repeat(9000)))).collect();
        let text = shortened(&long, LONGEST);
        assert!(text.len() <= LONGEST && text.contains("t6") && !text.contains("omitted"), "{}", text.len());
        let name = "n".repeat(200);
        let mut many: Vec<_> = (0..100).map(|n| topic(&format!("{name}{n}"), TopicState::Ready)).collect();
        many.push(topic("late", wrong("why")));
        let text = shortened(&many, LONGEST);
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() <= LONGEST);
        assert_eq!(report["topics"][0]["name"], "late");
        assert_eq!(
            report["topics"].as_array().unwrap().len() as u64 + report["omitted"].as_u64().unwrap(),
            101
        );
    }

    #[test]
    fn what_may_pass_is_tried_again_by_whoever_started_it() {
        let failed = || TopicState::Failed { reason: Reason::KafkaError, message: String::new() };
        let shown = |states: Vec<TopicState>| {
            let topics: Vec<_> = states.into_iter().map(|state| topic("a", state)).collect();
            format!("{:?}", code(&topics))
        };
        let code = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(
            shown(vec![TopicState::Ready, TopicState::Created, TopicState::Altered { message: None }]),
            code(0)
        );
        assert_eq!(shown(vec![TopicState::Ready, wrong("")]), code(1));
        assert_eq!(shown(vec![failed(), wrong("")]), code(2));
    }
}
