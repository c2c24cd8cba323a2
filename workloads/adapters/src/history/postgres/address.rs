//! The address of the database. It holds a password, so nothing of it is in an error or a log line.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::postgres::PgConnectOptions;
use thiserror::Error;
use url::Url;

/// What may stand after the question mark. Of others the driver would write the value to the log.
const PARAMETERS: [&str; 10] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

/// Where the address of the database stands. It is read again for each connection, so that a password can be changed in a file.
#[derive(Clone)]
pub enum PostgresAddress {
    /// Here.
    Text(String),
    /// In a file.
    File(PathBuf),
}

/// Why there is no address.
#[derive(Debug, Error)]
pub enum PostgresAddressError {
    /// It is no URL of a database.
    #[error(
        "it is no URL such as postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, with special characters as %XX"
    )]
    NoUrl,
    /// It has other parameters than are known.
    #[error("its parameters are not all among {}", PARAMETERS.join(", "))]
    Parameters,
    /// The file cannot be read.
    #[error("its file {path} cannot be read: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl PostgresAddress {
    /// Checks that it is there and can be understood.
    pub fn check(&self) -> Result<(), PostgresAddressError> {
        self.options().map(drop)
    }

    pub(super) fn options(&self) -> Result<PgConnectOptions, PostgresAddressError> {
        match self {
            Self::Text(text) => parse(text),
            Self::File(path) => {
                let read = fs::read_to_string(path);
                let text = read.map_err(|error| PostgresAddressError::File { path: path.clone(), error })?;
                parse(&text)
            }
        }
    }
}

fn parse(text: &str) -> Result<PgConnectOptions, PostgresAddressError> {
    let text = text.trim();
    let url = Url::parse(text).map_err(|_| PostgresAddressError::NoUrl)?;
    let names_host = url.host_str().is_some_and(|host| !host.is_empty())
        || url.query_pairs().any(|(name, _)| name == "host");
    if !["postgres", "postgresql"].contains(&url.scheme()) || !names_host {
        return Err(PostgresAddressError::NoUrl);
    }
    if url.query_pairs().any(|(name, _)| !PARAMETERS.contains(&name.as_ref())) {
        return Err(PostgresAddressError::Parameters);
    }
    PgConnectOptions::from_str(text).map_err(|_| PostgresAddressError::NoUrl)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECRET: &str = "pa55word";

    #[test]
    fn only_the_url_of_a_database_is_an_address() {
        for text in [
            "postgres://shop:pa55word@db.example:5432/orders?sslmode=verify-full&sslrootcert=/etc/ca.crt",
            "postgresql://shop:pa55word@db.example/orders",
            " postgres://shop@db/orders\n",
            "postgres:///orders?host=/run/postgresql",
        ] {
            assert!(PostgresAddress::Text(text.to_owned()).check().is_ok(), "{text}");
        }
        for text in [
            "",
            "pa55word",
            "mysql://shop:pa55word@db/orders",
            "postgres:///orders",
            "postgres://shop:pa55word@db/orders?sslmode=always",
            "postgres://shop:pa55word@db/orders?options=-cpa55word",
            "postgres://shop:pa5?5word@db/orders",
            "postgres://shop:pa55word@db:port/orders",
            "host=db user=shop password=pa55word",
        ] {
            let error = PostgresAddress::Text(text.to_owned()).check().unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(!said.contains(SECRET) && !said.contains("5word"), "{said}");
        }
    }

    #[test]
    fn it_may_stand_in_a_file_that_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("url");
        let address = PostgresAddress::File(path.clone());
        assert!(matches!(address.check(), Err(PostgresAddressError::File { .. })));
        fs::write(&path, "postgres://shop:pa55word@db/orders\n").unwrap();
        assert!(address.check().is_ok());
        fs::write(&path, "pa55word").unwrap();
        let error = address.check().unwrap_err();
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}
