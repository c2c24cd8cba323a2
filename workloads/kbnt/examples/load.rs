//! Buyers over HTTP, all at the same time: how long `POST /v1/orders?wait=10s` takes at a running `kbnt serve`.
//!
//! Loopback only, and a bounded number of orders. For example:
//!
//! ```text
//! kbnt serve --allow-unknown-users --log warn &
//! cargo run --release -p kbnt --example load -- --buyers 1000 --rounds 5
//! ```

mod shared;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use shared::{Failure, Times, must_be_here};

/// Measure how long orders take while many buyers order at once.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// A running `kbnt serve --allow-unknown-users`, on this machine
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// Buyers, each with a connection of its own
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5000))]
    buyers: u32,
    /// Orders of each buyer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long a buyer thinks between the end of an order and the next one, in milliseconds; buyers start at random
    /// moments within that time. 0: all order at the same instant, in each round
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=60_000))]
    think: u64,
    /// Units of the product; with fewer than orders the rest is refused
    #[arg(long, default_value_t = 1_000_000)]
    stock: u64,
    /// Fail if the 99th percentile is above this, in milliseconds
    #[arg(long)]
    limit: Option<u64>,
}

/// How an order ended, and how long it took.
type Sample = (String, Duration);

async fn declare(options: &Options, client: &Client) -> Result<(), Failure> {
    let body = json!({"name": "Smartphone X", "unitPrice": "599.99", "received": options.stock});
    let url = options.url.join("/v1/stock/PROD-001")?;
    client.put(url).json(&body).send().await?.error_for_status()?;
    Ok(())
}

/// One buyer's orders. All connections are made before the first one: no buyer frees a connection that others
/// still need.
async fn buyer(
    options: Options,
    client: Client,
    number: u32,
    start: Arc<Barrier>,
) -> Result<Vec<Sample>, Failure> {
    let answer = client.get(options.url.join("/healthz")?).send().await?;
    start.wait().await;
    answer.bytes().await?;
    let url = options.url.join("/v1/orders?wait=10s")?;
    let body = json!({
        "userId": format!("BUYER-{number}"),
        "items": [{"productId": "PROD-001", "quantity": 1}],
        "payment": {"method": "credit_card"},
    });
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        if options.think == 0 || round == 0 {
            start.wait().await;
        }
        if options.think > 0 {
            // Spread evenly over the thinking time, but not in step.
            let share = (u64::from(number) * 7919 + u64::from(round) * 104_729) % options.think;
            let pause = if round == 0 { share } else { options.think / 2 + share / 2 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let sent = Instant::now();
        let answer: Value = client.post(url.clone()).json(&body).send().await?.json().await?;
        let took = sent.elapsed();
        let end = answer["status"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
        samples.push((end, took));
    }
    Ok(samples)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    must_be_here(&options.url)?;
    let client = kbnt_adapters::outbound::streaming_client()?;
    declare(&options, &client).await?;
    let start = Arc::new(Barrier::new(options.buyers as usize));
    let mut buyers = JoinSet::new();
    for number in 0..options.buyers {
        buyers.spawn(buyer(options.clone(), client.clone(), number, Arc::clone(&start)));
    }
    let began = Instant::now();
    let mut samples = Vec::new();
    while let Some(bought) = buyers.join_next().await {
        samples.extend(bought??);
    }
    let took = began.elapsed();
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for (end, _) in &samples {
        *ends.entry(end).or_default() += 1;
    }
    let times = Times::of(samples.iter().map(|(_, took)| *took).collect());
    println!(
        "{} orders of {} buyers in {:.2} s, connections included: {ends:?}",
        samples.len(),
        options.buyers,
        took.as_secs_f64()
    );
    println!("ms: {times}");
    #[allow(clippy::cast_precision_loss)]
    let good = options.limit.is_none_or(|limit| times.within(0.99) <= limit as f64);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
