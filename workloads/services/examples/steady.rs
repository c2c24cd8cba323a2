//! Orders over HTTP at a steady rate, whatever becomes of them: how long each takes from the moment at which it was due until it
//! has ended, at services that run already. `make bench-saga` uses it.
//!
//! Loopback only, and a bounded number of orders. For example:
//!
//! ```text
//! kbnt serve --allow-unknown-users --log warn &
//! cargo run --release -p kbnt-services --example steady -- --rate 1000 --seconds 10
//! ```

mod shared;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use shared::{Failure, Times, must_be_here};

/// How often orders are sent: those that are due by then, together.
const PACE: Duration = Duration::from_millis(2);

/// How long after the last order its answer is awaited.
const PATIENCE: Duration = Duration::from_secs(15);

/// Measure how long orders take that come at a steady rate.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Where orders are placed, on this machine; the users must be allowed to be unknown
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// Where stock is declared; the same place by default
    #[arg(long)]
    stock_url: Option<Url>,
    /// Orders a second
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// For how many seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Orders of these first seconds are left out of the times
    #[arg(long, default_value_t = 5)]
    warm_up: u32,
    /// Of a hundred orders so many are declined by the payment gateway, and undone
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100))]
    declined: u32,
    /// Different products
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    products: u32,
}

/// An order that was answered.
struct Sample {
    number: u32,
    /// What it came to, or why there was no answer.
    end: String,
    /// Since it was due.
    took: Duration,
}

async fn declare(options: &Options, client: &Client) -> Result<(), Failure> {
    let place = options.stock_url.as_ref().unwrap_or(&options.url);
    let body = json!({"name": "Smartphone X", "unitPrice": "599.99", "received": 1_000_000_000});
    for product in 0..options.products {
        let url = place.join(&format!("/v1/stock/PROD-{product}"))?;
        client.put(url).json(&body).send().await?.error_for_status()?;
    }
    Ok(())
}

/// The body of an order; which ones are declined is spread evenly.
fn order(options: &Options, number: u32) -> Value {
    let declined = number % 100 * 37 % 100 < options.declined;
    json!({
        "userId": format!("BUYER-{}", number % 1_000),
        "items": [{"productId": format!("PROD-{}", number * 7 % options.products), "quantity": 1}],
        "payment": {"method": "credit_card", "token": if declined { "tok_decline" } else { "tok_ok" }},
    })
}

async fn place(client: Client, url: Url, body: Value) -> String {
    let answer = async { client.post(url).json(&body).send().await?.json::<Value>().await };
    match answer.await {
        Ok(answer) => answer["status"].as_str().map_or_else(|| answer.to_string(), str::to_owned),
        Err(error) => error.to_string(),
    }
}

/// Sends all orders, each when it is due, without waiting for any answer.
async fn send(options: &Options, client: &Client) -> Result<mpsc::UnboundedReceiver<Sample>, Failure> {
    let url = options.url.join("/v1/orders?wait=10s")?;
    let (samples, taken) = mpsc::unbounded_channel();
    let (began, count) = (Instant::now(), options.rate * options.seconds);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut number = 0;
    while number < count {
        pace.tick().await;
        while number < count {
            let due = began + Duration::from_secs(number.into()) / options.rate;
            if due > Instant::now() {
                break;
            }
            let placed = place(client.clone(), url.clone(), order(options, number));
            let samples = samples.clone();
            tokio::spawn(async move {
                let end = placed.await;
                // Whoever has stopped listening has given up.
                drop(samples.send(Sample { number, end, took: due.elapsed() }));
            });
            number += 1;
        }
    }
    Ok(taken)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    for url in [Some(&options.url), options.stock_url.as_ref()].into_iter().flatten() {
        must_be_here(url)?;
    }
    let client = kbnt_infrastructure::outbound::streaming_client()?;
    declare(&options, &client).await?;
    let began = Instant::now();
    let mut taken = send(&options, &client).await?;
    let (sent, give_up) = (began.elapsed(), Instant::now() + PATIENCE);
    let (mut ends, mut times) = (BTreeMap::<String, u32>::new(), Vec::new());
    loop {
        let sample = tokio::select! {
            sample = taken.recv() => sample,
            () = sleep_until(give_up) => None,
        };
        let Some(Sample { number, end, took }) = sample else { break };
        *ends.entry(end).or_default() += 1;
        if number >= options.warm_up.min(options.seconds - 1) * options.rate {
            times.push(took);
        }
    }
    let orders: u32 = ends.values().sum();
    let ended: u32 = ["CONFIRMED", "CANCELLED"].iter().filter_map(|end| ends.get(*end)).sum();
    let due = options.rate * options.seconds;
    println!("{orders} of {due} orders: {ends:?}, sent in {:.1} s", sent.as_secs_f64());
    println!("ms from due to ended: {}", Times::of(times));
    Ok(if ended == due { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
