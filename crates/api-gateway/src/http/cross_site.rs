//! Protection against web pages of other sites, without tokens: a page must not make its visitor's browser change
//! anything here, nor read anything through a host name that it points at this gateway (DNS rebinding). A request with
//! neither `Origin` nor `Sec-Fetch-Site` does not come from a browser, and passes.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use actix_web::http::uri::Authority;
use atode_config::Config;

use crate::http::problem::Problem;
use crate::http::problem_types::Slug;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

pub(crate) struct CrossSite {
    /// The host names that the gateway answers to besides loopback names, in lower case. Unset if it answers to any.
    names: Option<Vec<String>>,
    /// The address that the gateway listens on. Requests to this address and to loopback addresses are accepted. If it
    /// is unspecified, requests to any IP address are accepted, because no page can make an IP address point elsewhere.
    address: IpAddr,
    /// Proxies in front of the gateway whose `X-Forwarded-Host` is trusted.
    trusted_proxies: usize,
}

impl CrossSite {
    /// `address` is the address that the gateway listens on.
    pub(crate) fn new(config: &Config, address: SocketAddr) -> Self {
        let (hosts, address) = (&config.api.hosts, address.ip().to_canonical());
        let own = config.server.host.to_ascii_lowercase();
        let is_restricted = !hosts.is_empty() || address.is_loopback();
        CrossSite {
            names: is_restricted.then(|| hosts.iter().cloned().chain([own]).collect()),
            address,
            trusted_proxies: config.api.rate_limit.trusted_proxies,
        }
    }

    /// Refuses a request that a page of another site may have sent: 421 for an unknown host, 403 for a change.
    pub(crate) fn check(&self, request: &HttpRequest) -> Result<(), Problem> {
        let headers = request.headers();
        if headers.get_all(HOST).nth(1).is_some() {
            return Err(Problem::malformed("send only one header Host"));
        }
        let host = self.host(request);
        if host.is_some_and(|host| !self.answers_to(host)) {
            let detail = "this service does not answer to the host name of the request";
            return Err(Problem::new(Slug::WrongHost, detail));
        }
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        if !is_same_origin(headers, host) {
            let detail = "a page of another site made this request, or a proxy changed its header Host";
            return Err(Problem::new(Slug::CrossSite, detail));
        }
        Ok(())
    }

    /// The host of the request, as `name` or `name:port`. HTTP/1.0 does not require one.
    fn host<'a>(&self, request: &'a HttpRequest) -> Option<&'a str> {
        let forwarded = || {
            let lines = request.headers().get_all(X_FORWARDED_HOST);
            let entries: Vec<&str> =
                lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).collect();
            // Each proxy appends one entry.
            let at = entries.len().saturating_sub(self.trusted_proxies);
            entries.get(at).map(|entry| entry.trim())
        };
        let forwarded = if self.trusted_proxies > 0 { forwarded() } else { None };
        let host = || Some(request.headers().get(HOST)?.to_str().unwrap_or_default());
        // The request target takes precedence over the header Host (RFC 9112, 3.2.2).
        forwarded.or_else(|| request.uri().authority().map(Authority::as_str)).or_else(host)
    }

    fn answers_to(&self, host: &str) -> bool {
        let Some(names) = &self.names else { return true };
        let (name, _) = name_and_port(host);
        if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            if self.address.is_unspecified() || address.is_loopback() || address == self.address {
                return true;
            }
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        // Browsers resolve every name below `.localhost` to their own machine (RFC 6761, 6.3).
        name == "localhost" || name.ends_with(".localhost") || names.contains(&name)
    }
}

/// Whether the headers rule out a page of another origin.
fn is_same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let sites_agree =
        headers.get_all(SEC_FETCH_SITE).all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_own = |origin: &str| {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let usual = match scheme {
            "http" => "80",
            "https" => "443",
            _ => return false,
        };
        let (name, port) = name_and_port(authority);
        host.map(name_and_port).is_some_and(|(own_name, own_port)| {
            name.eq_ignore_ascii_case(own_name) && port.unwrap_or(usual) == own_port.unwrap_or(usual)
        })
    };
    sites_agree && headers.get_all(ORIGIN).all(|origin| origin.to_str().is_ok_and(is_own))
}

/// The host and the port of an authority. An IPv6 address loses its brackets.
fn name_and_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    authority.rsplit_once(':').map_or((authority, None), |(name, port)| (name, Some(port)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn listening_on(address: &str, hosts: &[&str], trusted_proxies: usize) -> CrossSite {
        let address: SocketAddr = address.parse().unwrap();
        let mut config = Config::default();
        config.server.host = address.ip().to_string();
        config.api.hosts = hosts.iter().map(ToString::to_string).collect();
        config.api.rate_limit.trusted_proxies = trusted_proxies;
        CrossSite::new(&config, address)
    }

    /// The status of the refusal, or 200.
    fn status(cross_site: &CrossSite, method: Method, headers: &[(&str, &str)]) -> u16 {
        let request = TestRequest::default().method(method);
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        let checked = cross_site.check(&request.to_http_request());
        checked.map_or_else(|problem| problem.status.as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_it_answers_to_its_own_names_at_any_port() {
        let cross_site = listening_on("127.0.0.1:8080", &[], 0);
        let get = |host| status(&cross_site, Method::GET, &[("Host", host)]);
        for own in [
            "localhost",
            "LocalHost:8080",
            "localhost.:1",
            "atode.localhost",
            "127.0.0.1:9999",
            "127.1.2.3",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(get(own), 200, "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8080",
            "192.168.1.5",
            "[2001:db8::1]:8080",
            "localhost@evil.example",
            "",
            ":8080",
            "[::1",
            "notlocalhost",
        ] {
            assert_eq!(get(foreign), 421, "{foreign}");
        }
        // HTTP/1.0 allows this. No browser sends it.
        assert_eq!(status(&cross_site, Method::POST, &[]), 200);
        assert_eq!(status(&cross_site, Method::GET, &[("Host", "localhost"), ("Host", "evil.example")]), 400);
        let absolute =
            TestRequest::with_uri("http://evil.example/v1/kinds").append_header(("Host", "localhost"));
        assert_eq!(cross_site.check(&absolute.to_http_request()).unwrap_err().status.as_u16(), 421);
    }

    #[test]
    fn beyond_loopback_it_answers_to_any_name_unless_hosts_are_configured() {
        let get = |cross_site: &CrossSite, host| status(cross_site, Method::GET, &[("Host", host)]);
        let any = listening_on("0.0.0.0:8080", &[], 0);
        assert_eq!(get(&any, "whatever.example"), 200);
        let named = listening_on("0.0.0.0:8080", &["jobs.example.com"], 0);
        assert_eq!((get(&named, "Jobs.Example.com:443"), get(&named, "evil.example")), (200, 421));
        assert_eq!(
            (get(&named, "localhost:8080"), get(&named, "10.1.2.3:8080")),
            (200, 200),
            "probes by address"
        );
        let one = listening_on("10.0.0.7:8080", &["jobs.example.com"], 0);
        assert_eq!((get(&one, "10.0.0.7"), get(&one, "10.0.0.8")), (200, 421));
        let proxied = listening_on("127.0.0.1:8080", &["jobs.example.com"], 0);
        assert_eq!((get(&proxied, "jobs.example.com"), get(&proxied, "jobs.example")), (200, 421));
    }

    #[test]
    fn a_change_is_refused_from_a_page_of_another_origin_and_accepted_from_programs() {
        let cross_site = listening_on("0.0.0.0:8080", &[], 0);
        let post = |headers: &[(&str, &str)]| {
            status(&cross_site, Method::POST, &[&[("Host", "a.example:8080")], headers].concat())
        };
        let (site, origin) = ("Sec-Fetch-Site", "Origin");
        for own in [
            &[][..],
            &[(site, "same-origin")],
            &[(site, "none")],
            &[(origin, "http://a.example:8080")],
            &[(origin, "https://A.example:8080"), (site, "same-origin")],
        ] {
            assert_eq!(post(own), 200, "{own:?}");
        }
        for foreign in [
            &[(site, "cross-site")][..],
            &[(site, "same-site")],
            &[(site, "")],
            &[(site, "none"), (site, "cross-site")],
            &[(site, "cross-site"), (origin, "http://a.example:8080")],
            &[(site, "same-origin"), (origin, "http://b.example:8080")],
            &[(origin, "null")],
            &[(origin, "")],
            &[(origin, "http://a.example")],
            &[(origin, "http://a.example:3000")],
            &[(origin, "http://a.example.evil.example:8080")],
            &[(origin, "chrome-extension://a.example:8080")],
            &[(origin, "http://a.example:8080"), (origin, "http://b.example")],
        ] {
            assert_eq!(post(foreign), 403, "{foreign:?}");
        }
        for (method, expected) in [
            (Method::GET, 200),
            (Method::HEAD, 200),
            (Method::OPTIONS, 200),
            (Method::PUT, 403),
            (Method::DELETE, 403),
            (Method::PATCH, 403),
        ] {
            let headers = [("Host", "a.example"), (site, "cross-site")];
            assert_eq!(status(&cross_site, method.clone(), &headers), expected, "{method}");
        }
        let usual = |origin| status(&cross_site, Method::POST, &[("Host", "a.example"), ("Origin", origin)]);
        assert_eq!((usual("https://a.example"), usual("https://a.example:443")), (200, 200));
        assert_eq!((usual("http://a.example:80"), usual("http://a.example:443")), (200, 403));
        assert_eq!(status(&cross_site, Method::POST, &[("Origin", "http://a.example")]), 403, "no host");
        let six = [("Host", "[2001:db8::1]:8080"), ("Origin", "http://[2001:DB8::1]:8080")];
        assert_eq!(status(&cross_site, Method::POST, &six), 200);
    }

    #[test]
    fn a_forwarded_host_counts_only_behind_trusted_proxies() {
        let headers = |forwarded| {
            [
                ("Host", "127.0.0.1:8080"),
                ("X-Forwarded-Host", forwarded),
                ("Origin", "https://jobs.example.com"),
            ]
        };
        let direct = listening_on("127.0.0.1:8080", &["jobs.example.com"], 0);
        assert_eq!(status(&direct, Method::POST, &headers("jobs.example.com")), 403);
        let behind_one = listening_on("127.0.0.1:8080", &["jobs.example.com"], 1);
        assert_eq!(status(&behind_one, Method::POST, &headers("jobs.example.com")), 200);
        assert_eq!(status(&behind_one, Method::POST, &headers("evil.example, jobs.example.com")), 200);
        assert_eq!(status(&behind_one, Method::POST, &headers("evil.example")), 421);
        let behind_two = listening_on("127.0.0.1:8080", &["jobs.example.com"], 2);
        assert_eq!(status(&behind_two, Method::POST, &headers("jobs.example.com, inner.example")), 200);
        assert_eq!(status(&behind_two, Method::POST, &headers("jobs.example.com")), 200);
    }
}
