//! TLS of the HTTP clients in this workspace.

use std::sync::Arc;

use rustls::crypto::ring;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// The system trusts no certificate, so no server can be verified.
#[derive(Debug, thiserror::Error)]
#[error("the system trusts no certificate{0}; install ca-certificates, or set SSL_CERT_FILE")]
pub struct NoCertificates(String);

/// TLS with the certificates that the system trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`, as for Redis.
pub fn client_tls() -> Result<TlsConfig, NoCertificates> {
    let trusted = rustls_native_certs::load_native_certs();
    if trusted.certs.is_empty() {
        let why = trusted.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(NoCertificates(why));
    }
    let certs: Vec<_> = trusted.certs.iter().map(|cert| Certificate::from_der(cert).to_owned()).collect();
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(certs)))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}
