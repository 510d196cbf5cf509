//! Addresses to listen on, and the error if that fails.

use std::io;

use crate::address::Address;

/// The host without the brackets in which an IPv6 address may be written, as in a URL.
#[must_use]
pub fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A line that says why a server cannot listen there, and what to do. `taken` is the advice if the port is taken.
#[must_use]
pub fn listen_problem(host: &str, port: u16, error: &io::Error, taken: &str) -> String {
    let place = Address { host: bare_host(host).to_owned(), port };
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!("; {taken}"),
        io::ErrorKind::AddrNotAvailable => "; this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => "; ports below 1024 may need more rights".to_owned(),
        _ => String::new(),
    };
    format!("cannot listen on {place}: {error}{advice}")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn brackets_around_an_ipv6_address_are_removed() {
        for (written, bare) in
            [("[::1]", "::1"), ("::1", "::1"), ("localhost", "localhost"), ("[::1", "[::1")]
        {
            assert_eq!(bare_host(written), bare);
        }
    }

    #[test]
    fn the_advice_for_a_taken_port_is_given_only_if_the_port_is_taken() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let taken = TcpListener::bind(("127.0.0.1", port)).unwrap_err();
        let line = listen_problem("127.0.0.1", port, &taken, "take another");
        assert!(line.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")), "{line}");
        assert!(line.ends_with("; take another"), "{line}");

        let elsewhere = TcpListener::bind(("192.0.2.1", port)).unwrap_err();
        let line = listen_problem("192.0.2.1", port, &elsewhere, "take another");
        assert!(line.ends_with("; this machine has no such address"), "{line}");

        let unknown = TcpListener::bind(("no.such.host.invalid", port)).unwrap_err();
        let line = listen_problem("no.such.host.invalid", port, &unknown, "take another");
        assert!(!line.contains("take another"), "{line}");
        assert!(listen_problem("[::1]", 1, &unknown, "").starts_with("cannot listen on [::1]:1: "));
    }
}
