//! Reading tools with servers that are not ours, or that go away.

use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;

use crate::support::{DEADLINE, kbnt};

/// A server that answers every request with `answer` of its number, counted from 0.
async fn server(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let router = Router::new().fallback(move || {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let answer = answer.clone();
        async move { answer(number) }
    });
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

fn of(kind: &'static str, body: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], body).into_response()
}

async fn run(arguments: &[&str], url: &str) -> Output {
    let mut command = kbnt(arguments);
    command.args(["--url", url]);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::timeout(DEADLINE, ended).await.expect("it never ends").unwrap()
}

/// It fails, and prints this error.
async fn fails(arguments: &[&str], url: &str, why: &str) {
    let output = run(arguments, url).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(said.contains(why), "{arguments:?}: {said}");
}

const READERS: [&[&str]; 3] =
    [&["dlq", "list"], &["audit", "verify", "--wait", "1s"], &["tail", "--from-beginning", "--limit", "1"]];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_no_event_stream() {
    let url = server(|_| of("text/html; charset=utf-8", "<html>")).await;
    for reader in READERS {
        fails(reader, &url, "answers with text/html").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_again_and_again_without_an_event_is_given_up() {
    let url = server(|_| of("text/event-stream", ": keep-alive\n\n")).await;
    let [list, verify, _] = READERS;
    tokio::join!(fails(list, &url, "it ended"), fails(verify, &url, "it ended"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_when_it_is_connected_again_is_told() {
    let unavailable = |number| match number {
        0 => of("text/event-stream", ": keep-alive\n\n"),
        _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let page = |number| match number {
        0 => of("text/event-stream", ": keep-alive\n\n"),
        _ => of("text/html", "<html>"),
    };
    let (unavailable, page) = (server(unavailable).await, server(page).await);
    let [list, verify, _] = READERS;
    tokio::join!(fails(list, &unavailable, "answers 503"), fails(verify, &page, "answers with text/html"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_told() {
    for (data, why) in [
        ("{\"topic\":", "an event is not as it should be"),
        (r#"{"topic":"other-events","partition":0,"offset":0}"#, "does not know: other-events"),
    ] {
        let text: &'static str = format!("id: 1\ndata: {data}\n\n: live\n\n").leak();
        let url = server(move |_| of("text/event-stream", text)).await;
        for reader in READERS {
            fails(reader, &url, why).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_at_the_beginning_loses_no_event() {
    const EVENT: &str = "\u{feff}id: 1\rdata: {\"topic\":\"user-events\",\"partition\":0,\"offset\":7}\r\r";
    let url = server(|_| of("text/event-stream", EVENT)).await;
    let output = run(&["tail", "--from-beginning", "--limit", "1", "--json"], &url).await;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"offset\":7"), "{output:?}");
}
