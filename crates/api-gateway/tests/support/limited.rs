//! A gateway with rate limits, and requests that count against them.

use atode_testkit::{Gateway, GatewayBinary, RedisServer, Response, ServiceBuilder};

pub(crate) fn limited(redis: &RedisServer, per_minute: u32) -> ServiceBuilder<GatewayBinary> {
    Gateway::builder(&redis.addr())
        .env("APP__API__RATE_LIMIT__ENABLED", "true")
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_MINUTE", per_minute.to_string())
        .env("APP__API__RATE_LIMIT__REQUESTS_PER_HOUR", "1000")
        // The tests are about decisions, not about speed on a busy machine.
        .env("APP__API__RATE_LIMIT__DEADLINE", "2s")
}

pub(crate) fn kinds(gateway: &Gateway, header: &str, value: &str) -> Response {
    gateway.request("GET", "/v1/kinds").header(header, value).send()
}

pub(crate) fn statuses(replies: impl Iterator<Item = Response>) -> Vec<u16> {
    replies.map(|reply| reply.status).collect()
}
