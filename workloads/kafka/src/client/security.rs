//! Encryption and authentication: the protocol, trusted CAs, and credentials.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use kbnt_application::ports::LogError;

/// The security protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// No encryption and no authentication.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without TLS.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    /// Whether brokers present a certificate.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the client authenticates with a user name and a password.
    pub const fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// The SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM with SHA-512.
    #[default]
    ScramSha512,
    /// SCRAM with SHA-256.
    ScramSha256,
    /// The password is sent as plain text.
    Plain,
}

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}

/// A user name, and the file with its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sasl {
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// The user name.
    pub username: String,
    /// The file with the password; surrounding white space is ignored.
    pub password_file: PathBuf,
}

/// A client certificate, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by its intermediate CAs.
    pub chain: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Encryption and authentication. Files are read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The security protocol.
    pub protocol: Protocol,
    /// The CAs that sign brokers' certificates: a PEM file, or a directory of PEM files named `*.crt`. The default is the CAs of the
    /// system.
    pub ca: Option<PathBuf>,
    /// The client's certificate, for mutual TLS.
    pub certificate: Option<ClientCertificate>,
    /// The user, for SASL.
    pub sasl: Option<Sasl>,
}

/// Properties of librdkafka with the contents of the credential files.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials(BTreeMap<&'static str, String>);

impl Credentials {
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

impl fmt::Debug for Credentials {
    /// Shows no values, as some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Security {
    /// Reads the files that the protocol needs. Errors name the file.
    pub(crate) fn read(&self) -> Result<Credentials, LogError> {
        let mut properties = BTreeMap::from([("security.protocol", self.protocol.name().to_owned())]);
        if self.protocol.is_tls() {
            if let Some(path) = &self.ca {
                properties.insert("ssl.ca.pem", authorities(path)?);
            }
            if let Some(ClientCertificate { chain, key }) = &self.certificate {
                properties.insert("ssl.certificate.pem", text(chain)?);
                properties.insert("ssl.key.pem", text(key)?);
            }
        }
        if self.protocol.is_sasl() {
            let missing =
                || LogError::Refused("SASL needs a user name and a file with the password".to_owned());
            let sasl = self.sasl.as_ref().ok_or_else(missing)?;
            properties.insert("sasl.mechanisms", sasl.mechanism.name().to_owned());
            properties.insert("sasl.username", sasl.username.clone());
            properties.insert("sasl.password", text(&sasl.password_file)?.trim().to_owned());
        }
        Ok(Credentials(properties))
    }
}

fn unreadable(path: &Path, error: &dyn fmt::Display) -> LogError {
    LogError::Refused(format!("{}: {error}", path.display()))
}

fn text(path: &Path) -> Result<String, LogError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    if text.trim().is_empty() {
        return Err(unreadable(path, &"it is empty"));
    }
    Ok(text)
}

/// All certificates in the file, or in the `*.crt` files of the directory.
fn authorities(path: &Path) -> Result<String, LogError> {
    if !path.is_dir() {
        return text(path);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        if file.extension().is_some_and(|extension| extension == "crt") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(unreadable(path, &"there is no *.crt in it"));
    }
    files.sort_unstable();
    let texts: Vec<String> = files.iter().map(|file| text(file)).collect::<Result<_, _>>()?;
    Ok(texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(security: &Security) -> BTreeMap<&'static str, String> {
        security.read().unwrap().0
    }

    #[test]
    fn only_what_the_protocol_needs_is_read() {
        let nowhere = PathBuf::from("/nowhere");
        let security = Security {
            ca: Some(nowhere.clone()),
            sasl: Some(Sasl { mechanism: Mechanism::Plain, username: "u".into(), password_file: nowhere }),
            ..Security::default()
        };
        assert_eq!(properties(&security), BTreeMap::from([("security.protocol", "plaintext".to_owned())]));
        let tls = Security { protocol: Protocol::Ssl, ..security.clone() };
        assert!(tls.read().unwrap_err().to_string().contains("/nowhere"));
        let sasl = Security { protocol: Protocol::SaslPlaintext, sasl: None, ..security };
        assert!(sasl.read().is_err());
    }

    #[test]
    fn a_directory_of_authorities_is_read_whole_and_the_password_without_its_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, content) in
            [("ca.crt", "A"), ("ca-2026.crt", "B"), ("ca.password", "no"), ("password", "secret\n")]
        {
            fs::write(path(name), content).unwrap();
        }
        let sasl =
            Sasl { mechanism: Mechanism::ScramSha512, username: "u".into(), password_file: path("password") };
        let security = Security {
            protocol: Protocol::SaslSsl,
            ca: Some(directory.path().to_owned()),
            certificate: None,
            sasl: Some(sasl),
        };
        let read = properties(&security);
        assert_eq!((read["ssl.ca.pem"].as_str(), read["sasl.password"].as_str()), ("B\nA", "secret"));
        let before = security.read().unwrap();
        assert!(!format!("{before:?}").contains("secret"));
        fs::write(path("password"), "another").unwrap();
        assert_ne!(security.read().unwrap(), before);
        fs::write(path("password"), "").unwrap();
        assert!(security.read().is_err(), "a file that is being written is not the new password");
    }
}
