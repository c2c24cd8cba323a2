//! Options of `kbnt backup` and `kbnt restore`.

use clap::Args;
use kbnt_adapters::objects::Address;

use super::TrailOptions;
use super::place::PlaceParser;

/// Options of `kbnt backup`.
#[derive(Debug, Args)]
#[command(after_help = "\
The services may be at work. Run it again and again, one at a time: each run adds what has come since the one before, and one that was \
interrupted is completed by the next. A backup is of one log: a topic with another id, a log that is shorter than its backup, or one \
with another history is refused, and nothing is changed.\n\n\
The store of a bucket and the credentials come from the environment alone: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
AWS_SESSION_TOKEN, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN; AWS_REGION; AWS_ENDPOINT_URL for another store with the \
interface of S3. That begins with https://, or with http:// where AWS_ALLOW_HTTP is true.\n\n\
Exit code: 0 if everything is copied that was there when it began, 1 if not.")]
pub(crate) struct BackupOptions {
    /// Where to copy to: a directory, which is made if it is not there, or `s3://BUCKET/PREFIX`
    #[arg(long, env = "KBNT_BACKUP_TO", value_name = "PLACE", hide_env_values = true, value_parser = PlaceParser)]
    pub(crate) to: Address,
    #[command(flatten)]
    pub(crate) from: TrailOptions,
}

/// Options of `kbnt restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
The whole backup is read and compared with its hashes before anything is written. The log to restore into must be empty (on Kafka \
the topics must be there: `kbnt topics ensure`, or the operator makes them), and no service may be at work on it. Every record gets \
the offset, the key, the headers, the bytes and the time that it had. A restore that was interrupted is completed by another \
one. inventory-service then begins under a new term, as at every start.\n\n\
The store of a bucket and the credentials come from the environment, as for `kbnt backup`.\n\n\
Exit code: 0 if everything is restored, or can be (--dry-run), 1 if not.")]
pub(crate) struct RestoreOptions {
    /// Where the backup is: a directory, or `s3://BUCKET/PREFIX`
    #[arg(long, env = "KBNT_RESTORE_FROM", value_name = "PLACE", hide_env_values = true, value_parser = PlaceParser)]
    pub(crate) from: Address,
    /// Only read the backup and compare it with its hashes
    #[arg(long, env = "KBNT_DRY_RUN")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) to: TrailOptions,
}
