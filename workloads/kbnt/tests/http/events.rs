//! Server-sent events: complete, in order, and resumed without a gap or a repetition.

use std::collections::{BTreeMap, HashSet};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::app::{App, DEADLINE, basket};

/// An event as a client sees it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    id: String,
    name: String,
    data: Value,
}

/// An open stream.
struct Stream {
    body: Body,
    text: String,
}

/// The next item of a stream.
enum Next {
    Event(Seen),
    Live,
}

impl Stream {
    async fn open(app: &App, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = app.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    async fn next(&mut self) -> Next {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if block.starts_with(": live") {
                    return Next::Live;
                }
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                    line.trim_start().to_owned()
                };
                let data = serde_json::from_str(&field("data:")).unwrap();
                return Next::Event(Seen { id: field("id:"), name: field("event:"), data });
            }
            let frame = tokio::time::timeout(DEADLINE, self.body.frame()).await.expect("no event came");
            let data = frame.expect("the stream ended").unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// All events until the stream says that there are no more for now.
    async fn until_live(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Next::Event(event) = self.next().await {
            seen.push(event);
        }
        seen
    }
}

fn place(event: &Seen) -> (String, u64, u64) {
    let number = |field: &str| event.data[field].as_u64().unwrap();
    (event.data["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"))
}

#[tokio::test]
async fn the_events_of_an_order_are_whole_and_resumable_at_each() {
    let app = App::open().await;
    app.order("other", 1, "tok_ok").await;
    let order = app.order("k", 2, "tok_ok").await;
    app.settled().await;
    let path = format!("/v1/orders/{}/events", order.text("orderId"));
    let all = Stream::open(&app, &path, None).await.until_live().await;
    let names: HashSet<&str> = all.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        names,
        HashSet::from([
            "PlaceOrderCommand",
            "UserValidatedEvent",
            "VirtualStockReservedEvent",
            "PaymentProcessedEvent",
            "ReservationConfirmedEvent",
            "OrderCreatedEvent",
            "NotificationSentEvent",
        ])
    );
    assert!(all.iter().all(|event| event.data["correlationId"] == order.body["orderId"]));
    assert!(all.iter().all(|event| event.data["eventName"] == event.name.as_str()));
    for (index, event) in all.iter().enumerate() {
        let rest = Stream::open(&app, &path, Some(&event.id)).await.until_live().await;
        assert_eq!(rest, all[index + 1..], "after {}", event.name);
    }
}

#[tokio::test]
async fn a_stream_goes_on_with_what_happens_next() {
    let app = App::open().await;
    let order = app.post("/v1/orders", &basket(1, "tok_delay_100ms")).await;
    let path = format!("/v1/orders/{}/events", order.text("orderId"));
    let (mut of_order, mut of_all) =
        (Stream::open(&app, &path, None).await, Stream::open(&app, "/v1/events", None).await);
    let ends_with = async |stream: &mut Stream, last: &str| {
        loop {
            match stream.next().await {
                Next::Event(event) if event.name == last => return,
                Next::Event(_) | Next::Live => {}
            }
        }
    };
    ends_with(&mut of_order, "NotificationSentEvent").await;
    ends_with(&mut of_all, "NotificationSentEvent").await;
    app.shutdown.cancel();
    while of_order.body.frame().await.is_some() {}
}

#[tokio::test]
async fn all_events_come_once_each_from_wherever_a_client_left_off() {
    let app = App::open().await;
    app.declare("PROD-001", 10_000).await;
    let orders = (0..340).map(|number| format!("k-{number}")).collect::<Vec<_>>();
    for some in orders.chunks(52) {
        futures::future::join_all(some.iter().map(|key| app.order(key, 1, "tok_ok"))).await;
    }
    app.settled().await;
    let total: u64 = app.ends().await[..16].iter().sum();
    assert!(total > 2 * 2048, "more than is kept in memory, or the log is never read: {total}");
    let all = Stream::open(&app, "/v1/events?from=start", None).await.until_live().await;
    assert_eq!(all.len() as u64, total);
    assert_eq!(all.iter().map(place).collect::<HashSet<_>>().len(), all.len());
    let mut next: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for event in &all {
        let (topic, partition, offset) = place(event);
        let expected = next.entry((topic, partition)).or_default();
        assert_eq!(offset, *expected, "in the order of its partition");
        *expected += 1;
    }
    let every = all.iter().map(place).collect::<HashSet<_>>();
    for index in [0, 1, 700, all.len() / 2, all.len() - 1] {
        let rest = Stream::open(&app, "/v1/events", Some(&all[index].id)).await.until_live().await;
        let before: HashSet<_> = all[..=index].iter().map(place).collect();
        let after: HashSet<_> = rest.iter().map(place).collect();
        assert_eq!((rest.len(), before.union(&after).count()), (all.len() - index - 1, every.len()));
    }
}

#[tokio::test]
async fn streams_are_bounded() {
    let app = App::open().await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Stream::open(&app, "/v1/events", None).await);
    }
    let refused = app.get("/v1/events").await;
    assert_eq!((refused.status.as_u16(), refused.text("code")), (503, "too_many_streams"));
    open.pop();
    let Next::Live = Stream::open(&app, "/v1/events", None).await.next().await else {
        panic!("nothing happened")
    };
}

/// The response to a stream that resumes after `id`.
async fn resumed(app: &App, path: &str, id: &str) -> (u16, Value) {
    let request = Request::get(path).header("last-event-id", id).body(Body::empty()).unwrap();
    let response = app.router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    if status == 200 {
        return (status, Value::Null);
    }
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Neither the stream of all events nor that of this order can resume after `id`.
async fn refuses(app: &App, order: &str, id: &str) {
    for path in ["/v1/events", "/v1/events?from=start", &format!("/v1/orders/{order}/events")] {
        let (status, body) = resumed(app, path, id).await;
        assert_eq!((status, &body["code"]), (410, &Value::from("cursor_gone")), "{path} after {id}: {body}");
    }
}

#[tokio::test]
async fn an_id_of_another_log_or_of_another_history_is_refused() {
    let app = App::open().await;
    let order = app.order("k", 1, "tok_ok").await;
    app.settled().await;
    let order = order.text("orderId").to_owned();
    let all = Stream::open(&app, "/v1/events?from=start", None).await.until_live().await;
    let id = &all.last().unwrap().id;
    assert_eq!(resumed(&app, "/v1/events", id).await.0, 200);

    let other = App::open().await;
    let same = other.order("k", 1, "tok_ok").await;
    other.settled().await;
    assert_eq!(same.text("orderId"), order, "as long, with the same orders, and yet another log");
    refuses(&other, &order, id).await;

    let (log, places) = id.split_once('_').unwrap();
    refuses(&app, &order, places).await;
    refuses(&app, &order, "12.0.3-9.1.4-15.2.8-4.0.1-3.0.1-47").await;
    let tagged: Vec<usize> = places.match_indices(':').map(|(at, _)| at).collect();
    assert!(tagged.len() > 5, "{id}");
    for at in tagged {
        let (before, tag) = places.split_at(at + 1);
        let digit = if tag.starts_with('0') { "1" } else { "0" };
        refuses(&app, &order, &format!("{log}_{before}{digit}{}", &tag[1..])).await;
        // One beyond the last record of this partition.
        let start = before.rfind(['.', '-']).map_or(0, |at| at + 1);
        let next: u64 = before[start..at].parse().unwrap();
        let tag_ends = tag.find(['.', '-']).unwrap_or(tag.len());
        let beyond = format!("{log}_{}{}{}", &before[..start], next + 1, &tag[tag_ends..]);
        refuses(&app, &order, &beyond).await;
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[tokio::test]
async fn an_older_copy_of_the_log_is_noticed_even_when_it_has_grown_as_long() {
    use kbnt_embedded::EmbeddedLog;
    use kbnt_http::ORDERS_IN_HAND;

    let directory = tempfile::tempdir().unwrap();
    let (lived, older) = (directory.path().join("lived"), directory.path().join("older"));
    let user = serde_json::json!({"userId": "USER-1", "name": "Ana", "email": "ana@example.com"});
    let app = App::of(EmbeddedLog::open(&lived).unwrap(), ORDERS_IN_HAND).await;
    app.declare("PROD-001", 100).await;
    assert_eq!(app.post("/v1/users", &user).await.status, 201);
    app.order("before", 1, "tok_ok").await;
    app.settled().await;
    copy(&lived, &older);
    let after = app.order("after", 1, "tok_ok").await;
    app.settled().await;
    let all = Stream::open(&app, "/v1/events?from=start", None).await.until_live().await;
    let id = all.last().unwrap().id.clone();

    let restored = App::of(EmbeddedLog::open(&older).unwrap(), ORDERS_IN_HAND).await;
    restored.until("ready", async || resumed(&restored, "/v1/events", &id).await.0 != 503).await;
    for number in 0..12 {
        let (status, body) = resumed(&restored, "/v1/events", &id).await;
        assert_eq!((status, &body["code"]), (410, &Value::from("cursor_gone")), "after {number} more orders");
        restored.order(&format!("other-{number}"), 1, "tok_ok").await;
    }
    restored.settled().await;
    let ends = restored.ends().await.into_iter().zip(app.ends().await);
    assert!(ends.take(16).all(|(restored, lived)| restored >= lived), "it has grown as long");
    let (status, _) = resumed(&restored, "/v1/events", &id).await;
    assert_eq!(
        (status, resumed(&restored, &format!("/v1/orders/{}/events", after.text("orderId")), &id).await.0),
        (410, 404)
    );
}
