//! `kbnt demo`: plays every scenario of an order, each in its own shop, in this process.

mod detail;
mod report;
mod scenario;
mod screen;
mod shop;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use kbnt_adapters::logging::{Filter, Format, Logging};

use crate::cli::{DemoOptions, ScenarioChoice};
use crate::failure::Failure;
use report::Report;
use scenario::{SCENARIOS, Scenario};
use screen::Screen;

pub(crate) async fn run(options: DemoOptions) -> Result<ExitCode, Failure> {
    // As in a real shop, the services' log lines go to application-logs.
    let logging = Arc::new(Logging::init(&Filter::default(), Format::Shipped, None)?);
    let chosen = SCENARIOS.iter().filter(|scenario| matches(scenario, options.scenario));
    let screen = Screen::new(options.json);
    let start = Instant::now();
    let mut reports: Vec<Report> = Vec::new();
    for scenario in chosen {
        screen.title(scenario)?;
        let report = scenario.play(&logging, &screen).await?;
        screen.ended(&report)?;
        reports.push(report);
    }
    screen.finish(&reports, start.elapsed())?;
    let good = reports.iter().all(Report::is_good);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn matches(scenario: &Scenario, choice: ScenarioChoice) -> bool {
    let name = match choice {
        ScenarioChoice::All => return true,
        ScenarioChoice::Success => "success",
        ScenarioChoice::InsufficientStock => "insufficient-stock",
        ScenarioChoice::PaymentDeclined => "payment-declined",
        ScenarioChoice::UnknownProduct => "unknown-product",
        ScenarioChoice::HighConcurrency => "high-concurrency",
        ScenarioChoice::ReservationExpiry => "reservation-expiry",
    };
    scenario.name == name
}
