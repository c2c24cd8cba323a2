//! The last fault of a run, from which there is no way back: the first records of an event store are deleted. Whoever folds them
//! must not decide any more.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::faults::Victims;
use crate::system::show;
use crate::topics::Ends;

/// How long a service may take to say that its log was cut.
const SAID: Duration = Duration::from_mins(2);

/// The event stores that can be cut, and the services that read each from its first record. inventory-service begins with its
/// snapshot, and order-service looks back over more records than a run has.
const STORES: [(&str, &[&str]); 4] = [
    ("user-events", &["user", "order"]),
    ("order-events", &["order"]),
    ("payment-events", &["payment", "order"]),
    ("inventory-events", &["order"]),
];

/// Cuts an event store while all services are stopped, starts them again, and tells what those did that must do nothing.
pub(crate) async fn inflict(on: &mut Victims) -> Result<Vec<String>, Failure> {
    let Some((topic, roles)) = fastrand::choice(STORES) else { return Ok(Vec::new()) };
    show(format_args!("the last fault: {topic} is cut"))?;
    on.fleet.stop().await?;
    let before = on.topics.ends().await?;
    on.topics.cut(topic, &before).await?;
    for role in roles {
        on.fleet.restart(role)?;
    }
    let mut wrong = Vec::new();
    for role in roles {
        if let Err(why) = refuses(on, role, topic).await? {
            wrong.push(why);
        }
    }
    let after = on.topics.ends().await?;
    wrong.extend(
        roles.iter().filter(|role| grown(role, &before, &after)).map(|role| format!("{role} has written")),
    );
    on.fleet.stop().await?;
    Ok(wrong)
}

fn grown(role: &str, before: &Ends, after: &Ends) -> bool {
    let own = format!("{role}-events");
    let end =
        |ends: &Ends| ends.iter().filter(|((topic, _), _)| *topic == own).map(|(_, end)| *end).sum::<i64>();
    end(after) != end(before)
}

/// Waits until this service says what is wrong, and asks it for something; else what it does instead.
async fn refuses(on: &Victims, role: &str, topic: &str) -> Result<Result<(), String>, Failure> {
    let (url, give_up) = (on.fleet.url(role)?, Instant::now() + SAID);
    while !said(on, &url, topic).await {
        if Instant::now() > give_up {
            return Ok(Err(format!("{role} does not say that {topic} was cut")));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ready = on.client.get(format!("{url}/readyz")).send().await?.status().as_u16();
    if ready != 503 {
        return Ok(Err(format!("/readyz of {role} answers {ready}")));
    }
    if role == "order" {
        let order = json!({"userId": "U-1", "items": [{"productId": "P-0", "quantity": 1}],
                           "payment": {"method": "credit_card"}});
        let answer: Value =
            on.client.post(format!("{url}/v1/orders")).json(&order).send().await?.json().await?;
        if answer["code"] != "log_damaged" {
            return Ok(Err(format!("an order is answered {answer}")));
        }
    }
    Ok(Ok(()))
}

/// Whether `GET /v1/log` says that this topic was cut.
async fn said(on: &Victims, url: &str, topic: &str) -> bool {
    let Ok(answer) = on.client.get(format!("{url}/v1/log")).send().await else { return false };
    let Ok(log) = answer.json::<Value>().await else { return false };
    let cut = |damage: &Value| damage["kind"] == "cut" && damage["topic"] == topic;
    log["intact"] == false && log["damage"].as_array().is_some_and(|all| all.iter().any(cut))
}
