//! The command line and a gateway behind TLS. The keys in tests/tls/ are used nowhere else.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::{Ended, atode, run};

const NO_WORKERS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"items\":[]}";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// Listens as `localhost`, with the certificate `trusted.pem`. Returns its port.
fn gateway() -> u16 {
    let certificate = CertificateDer::from_pem_file(file("trusted.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("trusted.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
    let config = Arc::new(config.expect("a valid key"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    // Ends with the process of the test.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let tls = ServerConnection::new(config.clone()).expect("a valid configuration");
            let mut stream = BufReader::new(StreamOwned::new(tls, socket.expect("a connection")));
            let mut line = String::new();
            // A client that refuses the certificate hangs up.
            while stream.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                line.clear();
            }
            let _ = stream.get_mut().write_all(NO_WORKERS.as_bytes());
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    port
}

fn workers(host: &str, port: u16, trusted: &str) -> Ended {
    let url = format!("https://{host}:{port}");
    let atode = atode().env("SSL_CERT_FILE", file(trusted)).env_remove("SSL_CERT_DIR");
    run(atode.args(["workers", "--json", "--url", &url]))
}

#[test]
fn a_gateway_behind_tls_answers_if_its_certificate_is_trusted_and_names_its_host() {
    let port = gateway();
    let trusted = workers("localhost", port, "trusted.pem");
    assert_eq!((trusted.code, trusted.out.contains("items")), (0, true), "{}{}", trusted.out, trusted.err);

    let untrusted = workers("localhost", port, "other.pem");
    assert_eq!((untrusted.code, &*untrusted.out), (1, ""), "{}", untrusted.err);
    assert!(untrusted.err.contains("SSL_CERT_FILE"), "{}", untrusted.err);

    let other_name = workers("127.0.0.1", port, "trusted.pem");
    assert_eq!((other_name.code, &*other_name.out), (1, ""), "{}", other_name.err);

    let nothing = workers("localhost", port, "no-such.pem");
    assert_eq!((nothing.code, &*nothing.out), (1, ""), "{}", nothing.err);
}
