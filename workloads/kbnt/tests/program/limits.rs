//! What strangers can exhaust, and what they cannot.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Running, basket, free_port};

/// Input that is not a request.
const NO_REQUESTS: [&[u8]; 4] = [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nx: "];

#[tokio::test]
async fn more_strangers_than_descriptors_do_not_stop_probes_and_orders() {
    let probes = free_port().to_string();
    let arguments = ["serve", "--allow-unknown-users", "--probe-port", &probes];
    let mut shop = Running::start_with_descriptors(64, &arguments);
    shop.until_ready().await;
    shop.declare(10).await;
    let address = shop.url.strip_prefix("http://").unwrap().to_owned();
    let mut strangers = Vec::new();
    for number in 0..80 {
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        // A connection that had to make room for another one does not matter.
        let _ = stranger.write_all(NO_REQUESTS[number % NO_REQUESTS.len()]).await;
        strangers.push(stranger);
    }
    for url in [format!("http://127.0.0.1:{probes}"), shop.url.clone()] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            let asked = shop.client.get(format!("{url}{path}")).timeout(Duration::from_secs(15));
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status(), 200, "{url}{path}");
        }
    }
    let order = shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await;
    assert_eq!((order.0, &order.1["status"]), (200, &serde_json::json!("CONFIRMED")));
    assert_eq!(
        shop.client.get(format!("http://127.0.0.1:{probes}/v1/stock")).send().await.unwrap().status(),
        404
    );
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

/// Sends more concurrent requests of one client than there are descriptors, none of which ends soon. A probe
/// still gets through.
async fn answers_in_spite_of(asked: impl AsyncFn(&Running) -> Vec<u8>) {
    let mut shop = Running::start_with_descriptors(64, &["serve", "--allow-unknown-users"]);
    shop.until_ready().await;
    shop.declare(10).await;
    let address = shop.url.strip_prefix("http://").unwrap().to_owned();
    let asked = asked(&shop).await;
    let mut held = Vec::new();
    for _ in 0..80 {
        let mut one = TcpStream::connect(&address).await.unwrap();
        // A connection that had to make room for another one does not matter.
        let _ = one.write_all(&asked).await;
        held.push(one);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/healthz"] {
        // On its own connection, as probes ask: an idle one may have been closed.
        let client = kbnt_adapters::outbound::streaming_client().unwrap();
        let asked = client.get(format!("{}{path}", shop.url)).timeout(Duration::from_secs(15));
        assert_eq!(asked.send().await.unwrap().status(), 200, "{path}");
    }
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

#[tokio::test]
async fn bodies_that_do_not_come_do_not_stop_probes() {
    let head = "POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    answers_in_spite_of(async |_| head.as_bytes().to_vec()).await;
}

#[tokio::test]
async fn requests_that_wait_do_not_stop_probes() {
    answers_in_spite_of(async |shop| {
        let version = shop.get("/v1/orders/summary").await.1["version"].as_str().unwrap().to_owned();
        let path = format!("/v1/orders/summary?since={version}&wait=60s");
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
    })
    .await;
}

#[tokio::test]
async fn answers_that_nobody_takes_do_not_stop_probes() {
    // HTTP/2 with a window of 0: GET /healthz over http from x, with nothing indexed.
    let fields = [&[0x82, 0x86, 0x04, 8], b"/healthz".as_slice(), &[0x01, 1], b"x"].concat();
    let length = u8::try_from(fields.len()).unwrap();
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    let asked = [preface, &settings, &[0, 0, length, 1, 5, 0, 0, 0, 1], &fields].concat();
    answers_in_spite_of(async |_| asked.clone()).await;
}
