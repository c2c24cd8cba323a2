//! What strangers can use up, and what they cannot.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Running, basket, free_port};

/// What a client may send that is no request.
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
        // One that had to go for another one is no matter.
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
