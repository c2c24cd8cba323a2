//! The database file: how it is opened, checked, made and set aside.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kbnt_application::ports::HistoryError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::read;

/// The database.
const NAME: &str = "history.sqlite";

/// The database that was set aside last.
const REFUSED: &str = "history-refused.sqlite";

/// A database that is being filled from a checkpoint.
const FETCHED: &str = "history-fetched.sqlite";

/// What `SQLite` puts beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// "kbnt", so that another program's database is not taken for ours.
const APPLICATION: i32 = 0x6b62_6e74;

/// Changes with the tables and with the meaning of their rows; a database of another version is built anew.
pub(super) const VERSION: i32 = 1;

/// A larger file is not checked row by row when it is opened, as a start must not take minutes. Each row has a checksum besides.
const ROWS_CHECKED_MOST: u64 = 64 << 20;

/// Of a larger file not even the pages are.
const PAGES_CHECKED_MOST: u64 = 1 << 30;

/// `products` has a row for each product of an order, so that orders of a product are found. `progress` has one row.
const SCHEMA: &str = "
    CREATE TABLE orders (
        no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, placed_at INTEGER, user TEXT, status INTEGER NOT NULL,
        seen_at INTEGER NOT NULL, row BLOB NOT NULL
    ) STRICT;
    CREATE INDEX by_time ON orders (placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX by_user ON orders (user, placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX by_status ON orders (status, placed_at, id) WHERE placed_at IS NOT NULL;
    CREATE INDEX unplaced ON orders (seen_at) WHERE placed_at IS NULL;
    CREATE TABLE products (
        product TEXT NOT NULL, placed_at INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (product, placed_at, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE progress (
        one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL, orders INTEGER NOT NULL, row BLOB NOT NULL
    ) STRICT;
    INSERT INTO progress (one, revision, orders, row) VALUES (1, 0, 0, x'');
";

/// Settings of every connection. `cell_size_check` finds some damage as soon as a page is read.
const SETTINGS: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA trusted_schema = OFF;
    PRAGMA cell_size_check = ON;
    PRAGMA temp_store = MEMORY;
";

/// Settings of the connection that writes. With a write-ahead log, NORMAL loses the last transactions at most when the machine
/// crashes: they are read again from the log.
const WRITER: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA cache_size = -16384;
    PRAGMA journal_size_limit = 67108864;
";

/// Settings of the connection that fills a database: without a journal, as one that was not filled to the end is of no use.
const FILLER: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16384;";

/// Settings of a connection that reads.
const READER: &str = "PRAGMA query_only = ON; PRAGMA cache_size = -2048;";

/// What the database answers, or what its error means.
pub(super) trait OrFailed<T> {
    fn or_failed(self) -> Result<T, HistoryError>;
}

impl<T> OrFailed<T> for rusqlite::Result<T> {
    fn or_failed(self) -> Result<T, HistoryError> {
        self.map_err(|error| failed(&error))
    }
}

/// What an error of the database means.
fn failed(error: &rusqlite::Error) -> HistoryError {
    let damaged = match error {
        // `Unknown` is an error in a statement: the tables are not ours.
        rusqlite::Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown)
        }
        // A column holds what we never write.
        rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    };
    if damaged {
        HistoryError::Damaged(error.to_string())
    } else {
        HistoryError::Unavailable(error.to_string())
    }
}

fn unavailable(error: &io::Error) -> HistoryError {
    HistoryError::Unavailable(error.to_string())
}

fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Whether there is a database.
pub(super) fn is_there(directory: &Path) -> bool {
    path(directory).exists()
}

fn connect(path: &Path, create: OpenFlags) -> Result<Connection, HistoryError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch(SETTINGS)?;
        Ok(connection)
    };
    open().or_failed()
}

/// Opens the database to write, after a check; makes it if it is not there.
pub(super) fn writer(directory: &Path) -> Result<Connection, HistoryError> {
    fs::create_dir_all(directory).map_err(|error| unavailable(&error))?;
    let mut connection = connect(&path(directory), OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.execute_batch(WRITER).or_failed()?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).or_failed()?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    match (number("application_id").or_failed()?, number("user_version").or_failed()?) {
        (0, 0) if tables == 0 => make(&mut connection).or_failed()?,
        (APPLICATION, VERSION) => check(&connection, directory)?,
        (APPLICATION, version) => {
            return Err(HistoryError::Damaged(format!("it is in format {version}, and {VERSION} is read")));
        }
        _ => return Err(HistoryError::Damaged("another program wrote it".to_owned())),
    }
    Ok(connection)
}

fn make(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// As much of a check as its size allows. `quick_check` reads all pages, `integrity_check` also compares indexes with their tables.
fn check(connection: &Connection, directory: &Path) -> Result<(), HistoryError> {
    let bytes = bytes(directory);
    if bytes > PAGES_CHECKED_MOST {
        return Ok(());
    }
    let by_row = bytes <= ROWS_CHECKED_MOST;
    let text = if by_row { "PRAGMA integrity_check(1)" } else { "PRAGMA quick_check(1)" };
    let said: String = connection.query_row(text, [], |row| row.get(0)).or_failed()?;
    if said != "ok" {
        return Err(HistoryError::Damaged(said));
    }
    if by_row { read::check(connection) } else { Ok(()) }
}

/// Opens the database to read; it must be there.
pub(super) fn reader(directory: &Path) -> Result<Connection, HistoryError> {
    let connection = connect(&path(directory), OpenFlags::empty())?;
    connection.execute_batch(READER).or_failed()?;
    Ok(connection)
}

/// Makes a database that is to be filled; what was left of an earlier one is gone.
pub(super) fn fetched(directory: &Path) -> Result<Connection, HistoryError> {
    fs::create_dir_all(directory).map_err(|error| unavailable(&error))?;
    let path = directory.join(FETCHED);
    remove(&path).map_err(|error| unavailable(&error))?;
    let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.execute_batch(FILLER).or_failed()?;
    make(&mut connection).or_failed()?;
    Ok(connection)
}

/// The database that was filled takes the place of the one of the history, which nobody has open.
pub(super) fn install(directory: &Path) -> Result<(), HistoryError> {
    let fetched = directory.join(FETCHED);
    let installed = || {
        // Its last connection is closed, so that there is no lock to be lost by this.
        File::open(&fetched)?.sync_all()?;
        // `SQLite` would take what lies beside another database for this one's.
        for suffix in BESIDE {
            remove(&directory.join(format!("{NAME}{suffix}")))?;
        }
        fs::rename(&fetched, path(directory))?;
        File::open(directory)?.sync_all()
    };
    installed().map_err(|error| unavailable(&error))
}

/// Removes what was filled in vain.
pub(super) fn discard(directory: &Path) {
    // The next one that is filled removes it first.
    let _ = remove(&directory.join(FETCHED));
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Sets the database aside, in place of the one that was set aside before.
pub(super) fn set_aside(directory: &Path) -> Result<(), HistoryError> {
    for suffix in ["", BESIDE[0], BESIDE[1]] {
        let refused = directory.join(format!("{REFUSED}{suffix}"));
        let moved = match fs::rename(directory.join(format!("{NAME}{suffix}")), &refused) {
            // What lies beside the one before does not belong to this one.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(&refused),
            moved => moved,
        };
        match moved {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(&error)),
            _ => {}
        }
    }
    Ok(())
}

/// Bytes on disk.
pub(super) fn bytes(directory: &Path) -> u64 {
    length(directory, "") + log_bytes(directory)
}

/// Bytes of the write-ahead log.
pub(super) fn log_bytes(directory: &Path) -> u64 {
    length(directory, BESIDE[0])
}

fn length(directory: &Path, suffix: &str) -> u64 {
    fs::metadata(directory.join(format!("{NAME}{suffix}"))).map_or(0, |file| file.len())
}
