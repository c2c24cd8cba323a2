//! Server-sent events: whole, in order, and resumed without a gap or a repetition.

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

/// The next thing in a stream.
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
