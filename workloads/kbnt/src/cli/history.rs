//! Options of the history of orders.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use kbnt_adapters::history::{PostgresAddress, PostgresHistory, SqliteHistory};
use kbnt_application::ports::HistoryStore;
use kbnt_domain::Span;
use kbnt_runtime::HistoryPlan;

use super::values;
use crate::failure::Failure;

/// The address of the database.
const URL: &str = "KBNT_HISTORY_POSTGRES_URL";

/// A file with the address of the database.
const URL_FILE: &str = "KBNT_HISTORY_POSTGRES_URL_FILE";

/// Above these options in the help.
pub(super) const HEADING: &str = "History of order-service";

/// The history of orders.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct HistoryOptions {
    /// Drop orders that have ended from the history this long after they were placed, such as 365d; without it they stay for ever
    #[arg(long, env = "KBNT_HISTORY_RETENTION", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) history_retention: Option<Duration>,
}

impl HistoryOptions {
    /// The history in `directory`.
    pub(crate) fn plan(&self, directory: PathBuf) -> HistoryPlan {
        self.plan_in(Arc::new(SqliteHistory::new(directory)))
    }

    /// The history of the log with this prefix of its topics, in the database of which the variables have the address.
    pub(crate) fn plan_in_database(&self, prefix: &str) -> Result<HistoryPlan, Failure> {
        let address = address(|name| std::env::var_os(name).filter(|value| !value.is_empty()))?;
        Ok(self.plan_in(Arc::new(PostgresHistory::new(address, prefix))))
    }

    fn plan_in(&self, store: Arc<dyn HistoryStore>) -> HistoryPlan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        HistoryPlan { store, retention: self.history_retention.map(|time| Span::from_millis(millis(time))) }
    }
}

/// The address of the database.
fn address(variable: impl Fn(&str) -> Option<OsString>) -> Result<PostgresAddress, Failure> {
    let wrong = |what: String| Err(Failure::Options(what));
    let (name, address) = match (variable(URL), variable(URL_FILE)) {
        (Some(_), Some(_)) => {
            return wrong(format!("{URL} and {URL_FILE} are both set, and only one can be"));
        }
        (None, None) => {
            return wrong(format!(
                "--history-postgres needs {URL}, or {URL_FILE}, which names a file with it"
            ));
        }
        // What is not Unicode is no URL.
        (Some(url), None) => (URL, PostgresAddress::Text(url.into_string().unwrap_or_default())),
        (None, Some(path)) => (URL_FILE, PostgresAddress::File(path.into())),
    };
    match address.check() {
        Ok(()) => Ok(address),
        Err(error) => wrong(format!("{name} is not an address of a database: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_database_comes_from_one_variable_and_is_never_shown() {
        let url = "postgres://shop:pa55word@db/orders";
        let given = |set: &[(&str, &str)]| {
            address(|wanted| set.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into()))
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(given(&[(URL, url)]), Ok(()));
        for (set, said) in [
            (&[][..], "--history-postgres needs KBNT_HISTORY_POSTGRES_URL"),
            (&[(URL, url), (URL_FILE, "/etc/url")], "both set"),
            (&[(URL, "pa55word")], "KBNT_HISTORY_POSTGRES_URL is not an address of a database: it is no URL"),
            (&[(URL_FILE, "/nowhere/url")], "its file /nowhere/url cannot be read"),
        ] {
            let error = given(set).unwrap_err();
            assert!(error.contains(said) && !error.contains("pa55word"), "{error}");
        }
    }
}
