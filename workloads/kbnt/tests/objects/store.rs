//! A test's own object store, started by `e2e/objects/store.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;

use kbnt_adapters::objects::{Address, Place, StoreSettings};

/// Who may do anything in the store.
pub const KEY: &str = "the-key-of-the-tests";

/// What nobody may ever see.
pub const SECRET: &str = "the-secret-of-the-tests";

/// The bucket that is there.
pub const BUCKET: &str = "shop-backup";

/// A store in its own directory, which is deleted with it.
pub struct Store {
    directory: tempfile::TempDir,
    pub url: String,
}

impl Store {
    /// A store that has been started, with a bucket.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("buckets").join(BUCKET)).unwrap();
        let url = script(directory.path(), &["start"]);
        Self { directory, url }
    }

    /// Starts it again where it was.
    pub fn start_again(&self) {
        assert_eq!(script(self.directory.path(), &["start"]), self.url);
    }

    /// Its host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn kill(&self) {
        script(self.directory.path(), &["kill"]);
    }

    /// The variables of somebody who may use it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ALLOW_HTTP", "true".into()),
        ]
    }

    /// A place in the bucket.
    pub fn place(&self, prefix: &str) -> Place {
        let address = Address::parse(format!("s3://{BUCKET}/{prefix}").as_ref()).unwrap();
        let Address::Bucket(address) = address else { panic!("{address:?}") };
        let variables = self.variables();
        let settings = StoreSettings::read(|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
        });
        Place::in_bucket(&address, settings.unwrap()).unwrap()
    }

    /// The objects of a place, as they lie on the store's disk.
    pub fn objects(&self, prefix: &str) -> Vec<PathBuf> {
        files(&self.directory.path().join("buckets").join(BUCKET).join(prefix))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn script(directory: &Path, arguments: &[&str]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/objects/store.sh");
    let mut script = Command::new(script);
    script.args(arguments).arg(directory);
    let output = script.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
