//! The command line. Every option can also be given as a variable.

mod backup;
mod choice;
mod clock;
mod dlq;
mod environment;
mod history;
mod http;
mod kafka;
mod log;
mod origin;
mod payment;
mod place;
mod plain;
mod shop;
mod snapshots;
mod standby;
mod topics;
mod tracing;
mod values;

use std::io::{IsTerminal, Write as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use kbnt_adapters::logging::{Filter, Format, Logging, LoggingError};
use kbnt_application::{Service, Topic};

use crate::failure::Failure;

pub(crate) use backup::{BackupOptions, RestoreOptions};
pub(crate) use clock::ClockOptions;
pub(crate) use dlq::{
    DeadLetterOptions, DiscardOptions, DlqCommand, ListOptions, ReplayOptions, ShowOptions,
};
use history::HEADING as HISTORY;
pub(crate) use history::HistoryOptions;
pub(crate) use http::HttpOptions;
pub(crate) use kafka::{AccessOptions, KafkaOptions};
pub(crate) use log::{CutOptions, LogCommand, LogCutOptions, LogVerifyOptions, TopicIdOptions};
pub(crate) use origin::{OriginOptions, TrailOptions};
pub(crate) use payment::{NotificationOptions, PaymentOptions};
pub(crate) use shop::{InventoryOptions, UserOptions};
pub(crate) use snapshots::{SnapshotOptions, StateOptions};
pub(crate) use standby::StandbyOptions;
pub(crate) use topics::{EnsureOptions, TopicsCommand};
pub(crate) use tracing::TracingOptions;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Virtual stock that never oversells: order services over an event log.
#[derive(Debug, Parser)]
#[command(
    version,
    styles = STYLES,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start with `kbnt demo`: every scenario in a few seconds, without a cluster. Then `kbnt serve` for a \
                  shop with the whole HTTP API on http://localhost:8080 (its description: /openapi.json)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line and the variables.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = environment::lenient(Self::command());
        let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
        let overruled = choice::overruled(&mut command, &matches)?;
        if !overruled.is_empty() {
            command = environment::without(environment::lenient(Self::command()), &overruled);
            matches = command.try_get_matches_from_mut(std::env::args_os())?;
        }
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// Prints the help or the version, or what is wrong with the command line.
pub(crate) fn explain(mut error: clap::Error) -> Result<ExitCode, Failure> {
    let shown = match plain::of(&mut error) {
        None => error.print(),
        // If stderr cannot be written to, there is nowhere to report it.
        Some(text) => std::io::stderr().write_all(text.as_bytes()),
    };
    let shown = shown.and_then(|()| std::io::stdout().flush());
    if !error.use_stderr() {
        shown.map_err(Failure::Output)?;
    }
    Ok(u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every scenario of an order, step by step, and check how each ends
    Demo(DemoOptions),
    /// Run all six services in one process, with the whole HTTP API on one port
    Serve(Box<ServeOptions>),
    /// Run one service on Kafka; this is what the operator deploys
    Service(Box<ServiceOptions>),
    /// Run a broker of seven topics to play with, over REST
    Simulator(SimulatorOptions),
    /// Watch events as they come, one line each, with running totals and alerts
    Tail(TailOptions),
    /// Print the description of the whole HTTP API, which /openapi.json of a process shows of its part
    Openapi,
    /// Examine the audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Examine the log
    #[command(subcommand)]
    Log(LogCommand),
    /// Copy what is new in a log to another place
    Backup(BackupOptions),
    /// Bring a backup back into an empty log
    Restore(RestoreOptions),
    /// Make and check the topics of a Kafka cluster
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// See to records that nobody understands: dead letters
    #[command(subcommand)]
    Dlq(DlqCommand),
}

/// What to do with the audit trail.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Find any altered, missing or reordered entry, and any audited record that was changed
    Verify(VerifyOptions),
}

/// Options of `kbnt audit verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
The first wrong place of each kind is named. Exit codes, of which the worst counts:
  0  the trail is whole and complete, and all that it vouches for is there and unchanged
  1  the trail or a record was altered, or nothing could be read
  2  wrong options
  3  records that the trail vouches for are missing
  4  the newest records have no link yet: audit-service is behind, or links were cut off the end
  5  records were left out, though later ones have a link
  6  there are records and no link at all
  7  there is nothing: no record and no link
  8  the journal of a data directory ends in what is no whole write
  9  nothing proves the end of a data directory: offsets.json is missing or not believed")]
pub(crate) struct VerifyOptions {
    #[command(flatten)]
    pub(crate) trail: TrailOptions,
    #[command(flatten)]
    pub(crate) cut: CutOptions,
    /// How long the audit-service of a running system may take to link what is there
    #[arg(long, env = "KBNT_VERIFY_WAIT", default_value = "10s", value_name = "TIME", value_parser = values::duration)]
    pub(crate) wait: Duration,
    /// How long Kafka keeps audit-logs
    #[arg(long, env = "KBNT_AUDIT_RETENTION", default_value = "365d", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) audit_retention: Duration,
    /// How long Kafka keeps notification-events
    #[arg(long, env = "KBNT_NOTIFICATION_RETENTION", default_value = "7d", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) notification_retention: Duration,
}

/// Options of `kbnt tail`.
#[derive(Debug, Args)]
#[command(
    after_help = "It ends with Ctrl-C and then shows all totals. Alerts are events of level ERROR, and events that \
                        somebody should look at whatever their level, such as LowStockEvent."
)]
pub(crate) struct TailOptions {
    /// Only this topic; may be given several times
    #[arg(long = "topic", env = "KBNT_TOPICS", value_delimiter = ',', value_name = "TOPIC", value_parser = values::topic)]
    pub(crate) topics: Vec<Topic>,
    /// Begin with the first event instead of the next one
    #[arg(long, env = "KBNT_FROM_BEGINNING")]
    pub(crate) from_beginning: bool,
    /// End after so many events
    #[arg(long, env = "KBNT_LIMIT", value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
    /// Print each event as a JSON object with its topic, partition and offset
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) origin: OriginOptions,
}

/// Options of `kbnt simulator`.
#[derive(Debug, Args)]
#[command(after_help = "Try it:\n  \
    curl localhost:8082/topics\n  \
    curl localhost:8082/topics/order-events/messages -H 'content-type: application/json' \\\n       \
    -d '{\"key\": \"order-1\", \"value\": {\"hello\": \"world\"}}'\n  \
    curl 'localhost:8082/topics/order-events/messages?partition=0&offset=0&limit=10'\n  \
    kbnt tail --url http://localhost:8082 --from-beginning\n\nMessages are kept in memory until it ends, the newest million of them.")]
pub(crate) struct SimulatorOptions {
    /// The port of the REST API
    #[arg(long, env = "KBNT_HTTP_PORT", default_value_t = 8082, value_name = "PORT")]
    pub(crate) port: u16,
    /// The address that it listens on
    #[arg(long, env = "KBNT_HTTP_ADDRESS", default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) address: IpAddr,
    #[command(flatten)]
    pub(crate) logging: LoggingOptions,
}

/// One of the scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScenarioChoice {
    /// All of them
    All,
    /// An order goes through
    Success,
    /// Less is available than is asked for
    InsufficientStock,
    /// The payment is declined, and the reservation is rolled back
    PaymentDeclined,
    /// Nobody knows the product
    UnknownProduct,
    /// A thousand buyers at once want a hundred units
    HighConcurrency,
    /// Nobody pays, and after fifteen minutes the units are available again
    ReservationExpiry,
}

/// Options of `kbnt demo`.
#[derive(Debug, Args)]
#[command(
    after_help = "The exit code is 1 if any outcome is not what it must be, or any invariant is broken."
)]
pub(crate) struct DemoOptions {
    /// Which scenario
    #[arg(long, env = "KBNT_SCENARIO", value_enum, default_value_t = ScenarioChoice::All)]
    pub(crate) scenario: ScenarioChoice,
    /// Print one JSON object instead of text
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
}

/// Records that a log in memory keeps: those of some 55,000 orders.
pub(crate) const MEMORY_RECORDS: usize = 1_000_000;

/// Options of `kbnt serve`.
#[derive(Debug, Args)]
#[command(after_help = "Try it:\n  \
    kbnt serve --allow-unknown-users &\n  \
    curl -X PUT localhost:8080/v1/stock/PROD-001 -H 'content-type: application/json' \\\n       \
    -d '{\"name\":\"Smartphone X\",\"unitPrice\":\"599.99\",\"received\":100}'\n  \
    curl 'localhost:8080/v1/orders?wait=10s' -H 'content-type: application/json' \\\n       \
    -d '{\"userId\":\"USER-12345\",\"items\":[{\"productId\":\"PROD-001\",\"quantity\":3}],\"payment\":{\"method\":\"credit_card\"}}'\n  \
    curl localhost:8080/v1/stock")]
pub(crate) struct ServeOptions {
    /// Keep the log in this directory, which is made if it is not there, the history of all orders, and what makes starts short;
    /// without it everything is gone at the end, and orders are shown for a day after they have ended
    #[arg(long, env = "KBNT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Without a directory, keep so many of the newest records in memory, some 400 bytes each, and older ones only until every
    /// service has read them
    #[arg(long, env = "KBNT_MEMORY_RECORDS", default_value_t = MEMORY_RECORDS, value_name = "COUNT",
          value_parser = values::memory_records)]
    pub(crate) memory_records: usize,
    /// The port of the HTTP API
    #[arg(long, env = "KBNT_HTTP_PORT", default_value_t = 8080, value_name = "PORT")]
    pub(crate) port: u16,
    /// The address that it listens on
    #[arg(long, env = "KBNT_HTTP_ADDRESS", default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) address: IpAddr,
    /// Stock and users to begin with: JSON {"stock": [{"productId", "name", "unitPrice", "received"}], "users":
    /// [{"userId", "name", "email"}]}; declared at each start, which changes nothing if it is so already. What cannot be declared is
    /// logged and left out
    #[arg(long, env = "KBNT_SEED_FILE", value_name = "FILE")]
    pub(crate) seed_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) http: HttpOptions,
    #[command(flatten)]
    pub(crate) history: HistoryOptions,
    #[command(flatten)]
    pub(crate) logging: LoggingOptions,
    #[command(flatten)]
    pub(crate) inventory: InventoryOptions,
    #[command(flatten)]
    pub(crate) snapshots: SnapshotOptions,
    #[command(flatten)]
    pub(crate) users: UserOptions,
    #[command(flatten)]
    pub(crate) payment: PaymentOptions,
    #[command(flatten)]
    pub(crate) notification: NotificationOptions,
    #[command(flatten)]
    pub(crate) clock: ClockOptions,
    #[command(flatten)]
    pub(crate) tracing: TracingOptions,
}

/// Options of `kbnt service`.
#[derive(Debug, Args)]
#[command(
    after_help = "Options of another role are accepted and have no effect. On SIGTERM the service turns unready, \
                        finishes what is in hand, hands its partitions over and exits with 0."
)]
pub(crate) struct ServiceOptions {
    /// Which service
    #[arg(value_enum, env = "KBNT_ROLE")]
    pub(crate) role: Role,
    /// The port of /healthz, /readyz, /metrics and the service's own API
    #[arg(long, env = "KBNT_HTTP_PORT", default_value_t = 8080, value_name = "PORT")]
    pub(crate) port: u16,
    /// The address that it listens on
    #[arg(long, env = "KBNT_HTTP_ADDRESS", default_value = "0.0.0.0", value_name = "IP")]
    pub(crate) address: IpAddr,
    #[command(flatten)]
    pub(crate) http: HttpOptions,
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
    #[command(flatten)]
    pub(crate) topic_ids: TopicIdOptions,
    #[command(flatten)]
    pub(crate) logging: LoggingOptions,
    #[command(flatten)]
    pub(crate) inventory: InventoryOptions,
    #[command(flatten)]
    pub(crate) state: StateOptions,
    /// Keep all orders in this directory, of this process alone, so that they can be shown and searched for; without it an order
    /// is shown for a day after it has ended
    #[arg(long, env = "KBNT_HISTORY_DIR", value_name = "DIR", help_heading = HISTORY)]
    pub(crate) history_dir: Option<PathBuf>,
    /// Keep them in a Postgres database that all processes of order-service share. Its address has a password, so it comes from the
    /// variable `KBNT_HISTORY_POSTGRES_URL`, or from a file that `KBNT_HISTORY_POSTGRES_URL_FILE` names
    #[arg(long, env = "KBNT_HISTORY_POSTGRES", help_heading = HISTORY)]
    pub(crate) history_postgres: bool,
    #[command(flatten)]
    pub(crate) history: HistoryOptions,
    #[command(flatten)]
    pub(crate) standby: StandbyOptions,
    #[command(flatten)]
    pub(crate) users: UserOptions,
    #[command(flatten)]
    pub(crate) payment: PaymentOptions,
    #[command(flatten)]
    pub(crate) notification: NotificationOptions,
    #[command(flatten)]
    pub(crate) clock: ClockOptions,
    #[command(flatten)]
    pub(crate) tracing: TracingOptions,
}

/// A service by the name of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Validates and manages users
    User,
    /// Decides over virtual stock
    Inventory,
    /// Charges and refunds
    Payment,
    /// Accepts orders and concludes them
    Order,
    /// Tells customers
    Notification,
    /// Writes the audit trail
    Audit,
}

impl From<Role> for Service {
    fn from(role: Role) -> Self {
        match role {
            Role::User => Self::User,
            Role::Inventory => Self::Inventory,
            Role::Payment => Self::Payment,
            Role::Order => Self::Order,
            Role::Notification => Self::Notification,
            Role::Audit => Self::Audit,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere
    Auto,
    /// One JSON object a line, on stdout
    Json,
    /// For people, on stderr
    Text,
}

/// Log lines.
#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LoggingOptions {
    /// Which lines are written: a level (off, error, warn, info, debug, trace), or levels by part of the program such as
    /// `warn,kbnt_kafka=debug`
    #[arg(long = "log", env = "KBNT_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) filter: Filter,
    /// How lines are written
    #[arg(long, env = "KBNT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,
}

impl LoggingOptions {
    /// Sets up logging; lines outside the work of a service are `service`'s.
    pub(crate) fn init(&self, service: Option<Service>) -> Result<Logging, LoggingError> {
        let format = match self.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Auto if std::io::stdout().is_terminal() => Format::Text,
            LogFormat::Json | LogFormat::Auto => Format::Json,
        };
        Logging::init(&self.filter, format, service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_variable() {
        let program = Cli::command();
        let nested = program.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in program.get_subcommands().chain(nested) {
            for argument in
                command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str()))
            {
                let variable = argument.get_env().unwrap_or_default().to_string_lossy().into_owned();
                // The standard variable is the same for every program that sends to the collector.
                let standard = variable == "OTEL_EXPORTER_OTLP_ENDPOINT";
                assert!(
                    standard || variable.starts_with("KBNT_"),
                    "{} {}: {variable}",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
