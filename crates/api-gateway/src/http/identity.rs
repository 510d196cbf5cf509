//! The caller of a request: today the client's address. This is the slot for authentication: [`identify`] runs first in
//! every scope that programs use, and everything that depends on the caller (rate limits, scopes of keys) reads
//! [`Caller`].

use actix_web::HttpMessage;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use atode_ratelimit::Subject;

use crate::gateway::Gateway;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An extension of each request that passed [`identify`].
pub(crate) struct Caller {
    /// The party whose rate limits the request counts against.
    pub(crate) subject: Subject,
}

/// Adds the [`Caller`] to the request. An unauthenticated request will end here.
pub(crate) async fn identify(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, actix_web::Error> {
    if let Some(caller) = by_address(&request, Gateway::of(request.request()).trusted_proxies) {
        request.extensions_mut().insert(caller);
    }
    next.call(request).await
}

fn by_address(request: &ServiceRequest, trusted_proxies: usize) -> Option<Caller> {
    let peer = request.peer_addr()?.ip();
    let forwarded: Vec<&[u8]> = match trusted_proxies {
        0 => Vec::new(),
        _ => request.headers().get_all(X_FORWARDED_FOR).map(HeaderValue::as_bytes).collect(),
    };
    Some(Caller { subject: Subject::of_address(peer, forwarded.into_iter(), trusted_proxies) })
}
