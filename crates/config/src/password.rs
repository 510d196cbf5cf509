//! A password in a file. The file may be replaced while the process runs, so it is read at each connect.

use std::{fs, path::PathBuf};

use async_trait::async_trait;
use fred::{
    error::{Error, ErrorKind},
    types::config::{CredentialProvider, Server},
};
use secrecy::SecretString;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a password file, without byte order mark and final line break. The error says what is wrong with the file.
pub(crate) fn read(path: &str) -> Result<SecretString, String> {
    let text = fs::read_to_string(path).map_err(|reason| format!("cannot read {path}: {reason}"))?;
    match text.trim_start_matches(BYTE_ORDER_MARK).trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{path} is empty")),
        password => Ok(SecretString::from(password)),
    }
}

/// The file as a provider for fred, which asks for the password at each connect.
#[derive(Debug)]
pub(crate) struct PasswordFile {
    pub(crate) username: Option<String>,
    pub(crate) path: PathBuf,
}

#[async_trait]
impl CredentialProvider for PasswordFile {
    async fn fetch(&self, _: Option<&Server>) -> Result<(Option<String>, Option<String>), Error> {
        use secrecy::ExposeSecret as _;
        let path = self.path.to_string_lossy();
        let password =
            read(&path).map_err(|why| Error::new(ErrorKind::Auth, format!("password_file: {why}")))?;
        Ok((self.username.clone(), Some(password.expose_secret().to_owned())))
    }
}
