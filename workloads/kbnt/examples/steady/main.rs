//! Orders over HTTP at a steady rate, whatever becomes of them: how long each takes from the moment at which it was due until it
//! has ended, at services that run already. `make bench-saga` uses it.
//!
//! Loopback only, and a bounded number of orders. For example:
//!
//! ```text
//! kbnt serve --allow-unknown-users --log warn &
//! cargo run --release -p kbnt --example steady -- --rate 1000 --seconds 10
//! ```

#[path = "../shared/mod.rs"]
mod shared;

mod connection;
mod plan;
mod report;
mod sending;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, sleep_until};

use plan::{Kind, Phase, Plan};
use report::Report;
use shared::{Failure, must_be_here};

/// How long to wait for responses after the last order.
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
    /// For how many seconds they come at that rate; these are measured
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// For how many seconds before that the rate rises to it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(..=600))]
    warm_up: u32,
    /// Of a hundred orders so many are declined by the payment gateway, and undone
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=100))]
    declined: u32,
    /// Different products
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    products: u32,
    /// After that, place so many orders of before again, drawn from all of them, while others come at the same rate
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    again: u32,
    /// After that, let so many times as many orders come as at the rate, as long as `overload_seconds`, and then the usual rate again
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    overload: u32,
    /// How long they are too many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    overload_seconds: u32,
    /// Print the times of each second, too
    #[arg(long)]
    each_second: bool,
}

impl Options {
    /// A quarter as many orders are placed again as for the first time.
    fn again_seconds(&self) -> u32 {
        (4 * self.again).div_ceil(self.rate)
    }

    fn plan(&self) -> Plan {
        let phase = |kind, seconds| Phase { kind, rate: self.rate, seconds };
        let mut phases = vec![phase(Kind::WarmUp, self.warm_up), phase(Kind::Usual, self.seconds)];
        if self.again > 0 {
            phases.push(phase(Kind::Again, self.again_seconds()));
        }
        if self.overload > 1 {
            let rate = self.rate * self.overload;
            phases.push(Phase { kind: Kind::Overload, rate, seconds: self.overload_seconds });
            phases.push(phase(Kind::After, self.overload_seconds));
        }
        Plan(phases)
    }

    /// The body of an order; declined orders are spread evenly.
    fn order(&self, number: u32) -> String {
        let token = if number % 100 * 37 % 100 < self.declined { "tok_decline" } else { "tok_ok" };
        let (buyer, product) = (number % 1_000, number * 7 % self.products);
        format!(
            r#"{{"userId":"BUYER-{buyer}","items":[{{"productId":"PROD-{product}","quantity":1}}],"payment":{{"method":"credit_card","token":"{token}"}}}}"#
        )
    }
}

async fn declare(options: &Options) -> Result<(), Failure> {
    let client = kbnt_adapters::outbound::streaming_client()?;
    let place = options.stock_url.as_ref().unwrap_or(&options.url);
    let body = json!({"name": "Smartphone X", "unitPrice": "599.99", "received": 1_000_000_000});
    for product in 0..options.products {
        let url = place.join(&format!("/v1/stock/PROD-{product}"))?;
        client.put(url).json(&body).send().await?.error_for_status()?;
    }
    Ok(())
}

/// Waits until no order is pending; how many are, if that takes too long.
async fn pending(url: &Url) -> Result<u64, Failure> {
    let (client, give_up) = (kbnt_adapters::outbound::streaming_client()?, Instant::now() + PATIENCE);
    loop {
        let summary = client.get(url.join("/v1/orders/summary")?).send().await?.error_for_status()?;
        let pending = summary.json::<Value>().await?["pending"].as_u64().ok_or("a summary without orders")?;
        if pending == 0 || Instant::now() > give_up {
            return Ok(pending);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Sends all orders, and prints the results.
async fn measure(options: &Options) -> Result<ExitCode, Failure> {
    declare(options).await?;
    let to = options.url.socket_addrs(|| None)?.first().copied().ok_or("no address")?;
    let (plan, began) = (options.plan(), Instant::now());
    let mut taken = sending::send(options, &plan, to).await;
    let (sent, give_up) = (began.elapsed(), Instant::now() + PATIENCE);
    let mut report = Report::default();
    while let Some(sample) = tokio::select! {
        sample = taken.recv() => sample,
        () = sleep_until(give_up) => None,
    } {
        report.take(sample);
    }
    if options.each_second {
        report.show_seconds();
    }
    let ends = report.ends();
    let orders: u32 = ends.values().sum();
    println!("{orders} of {} orders: {ends:?}, sent in {:.1} s", plan.orders(), sent.as_secs_f64());
    if let Some(times) = report.times(Kind::Usual) {
        println!("ms from due to ended, of {} orders: {times}", report.ended(Kind::Usual));
    }
    let is_same = report.show_again();
    report.show_overload();
    let all_settled = plan.0.iter().all(|phase| {
        let most = usize::try_from(phase.orders()).unwrap_or(usize::MAX);
        let may_refuse = matches!(phase.kind, Kind::Overload | Kind::After);
        most == if may_refuse { report.settled(phase.kind) } else { report.ended(phase.kind) }
    });
    let pending = pending(&options.url).await?;
    if pending > 0 {
        println!("{pending} orders have not ended");
    }
    Ok(if all_settled && is_same && pending == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    for url in [Some(&options.url), options.stock_url.as_ref()].into_iter().flatten() {
        must_be_here(url)?;
    }
    LocalSet::new().run_until(measure(&options)).await
}
