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

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use connection::Connection;
use reqwest::Url;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use shared::{Failure, Times, must_be_here};

/// How often the orders that are due are sent together.
const PACE: Duration = Duration::from_millis(2);

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
    /// Print the times of each second, too
    #[arg(long)]
    each_second: bool,
}

impl Options {
    /// Orders during the warm-up, while the rate rises evenly: half as many as at the full rate.
    const fn rising(&self) -> u32 {
        self.rate * self.warm_up / 2
    }

    /// All orders.
    const fn count(&self) -> u32 {
        self.rising() + self.rate * self.seconds
    }

    /// When an order is due, from the beginning.
    fn due(&self, number: u32) -> Duration {
        let (number, rising, rate) = (f64::from(number), f64::from(self.rising()), f64::from(self.rate));
        let warm_up = f64::from(self.warm_up);
        Duration::from_secs_f64(if number < rising {
            (2.0 * number * warm_up / rate).sqrt()
        } else {
            warm_up + (number - rising) / rate
        })
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

/// An order with a response.
struct Sample {
    number: u32,
    /// How it ended, or why there was no response.
    end: String,
    /// Measured from when it was due.
    took: Duration,
}

/// Idle connections; the one used last comes first.
struct Idle {
    to: SocketAddr,
    connections: RefCell<Vec<Connection>>,
}

impl Idle {
    async fn place(&self, body: &str) -> Result<String, Failure> {
        let idle = self.connections.borrow_mut().pop().filter(Connection::is_open);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.to).await?,
        };
        let end = connection.place(body).await?;
        self.connections.borrow_mut().push(connection);
        Ok(end)
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

/// Sends all orders, each when it is due, without waiting for any response.
async fn send(options: &Options, to: SocketAddr) -> mpsc::UnboundedReceiver<Sample> {
    let idle = Rc::new(Idle { to, connections: RefCell::default() });
    let (samples, taken) = mpsc::unbounded_channel();
    let began = Instant::now();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut numbers = (0..options.count()).map(|number| (number, options.due(number))).peekable();
    while numbers.peek().is_some() {
        pace.tick().await;
        let elapsed = began.elapsed();
        while let Some((number, due)) = numbers.next_if(|(_, due)| *due <= elapsed) {
            let (due, body) = (began + due, options.order(number));
            let (samples, idle) = (samples.clone(), Rc::clone(&idle));
            tokio::task::spawn_local(async move {
                let end = idle.place(&body).await.unwrap_or_else(|error| error.to_string());
                // The receiver is gone only if the measurement was given up.
                drop(samples.send(Sample { number, end, took: due.elapsed() }));
            });
        }
    }
    taken
}

/// Sends all orders, and prints the results.
async fn measure(options: &Options) -> Result<ExitCode, Failure> {
    declare(options).await?;
    let to = options.url.socket_addrs(|| None)?.first().copied().ok_or("no address")?;
    let began = Instant::now();
    let mut taken = send(options, to).await;
    let (sent, give_up) = (began.elapsed(), Instant::now() + PATIENCE);
    let mut by_second = BTreeMap::<u64, Vec<Duration>>::new();
    let (mut ends, mut times) = (BTreeMap::<String, u32>::new(), Vec::new());
    loop {
        let sample = tokio::select! {
            sample = taken.recv() => sample,
            () = sleep_until(give_up) => None,
        };
        let Some(Sample { number, end, took }) = sample else { break };
        *ends.entry(end).or_default() += 1;
        if options.each_second {
            by_second.entry(options.due(number).as_secs()).or_default().push(took);
        }
        if number >= options.rising() {
            times.push(took);
        }
    }
    for (second, times) in by_second {
        println!("{second:>4} s: {}", Times::of(times));
    }
    let orders: u32 = ends.values().sum();
    let ended: u32 = ["CONFIRMED", "CANCELLED"].iter().filter_map(|end| ends.get(*end)).sum();
    println!("{orders} of {} orders: {ends:?}, sent in {:.1} s", options.count(), sent.as_secs_f64());
    println!("ms from due to ended, of {} orders: {}", times.len(), Times::of(times));
    Ok(if ended == options.count() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    for url in [Some(&options.url), options.stock_url.as_ref()].into_iter().flatten() {
        must_be_here(url)?;
    }
    LocalSet::new().run_until(measure(&options)).await
}
