//! Every `type` that a problem may have, with the text of the page `/problems/<slug>` that explains it.

/// The page of a slug.
pub(crate) struct About {
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: u16,
    /// The event and its remedy.
    pub(crate) text: &'static str,
}

/// Makes [`Slug`] of one table.
macro_rules! slugs {
    ($($variant:ident: $slug:literal, $title:literal, $status:literal, $text:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Slug {
            $($variant,)*
        }

        impl Slug {
            pub(crate) const ALL: &[Slug] = &[$(Slug::$variant,)*];

            pub(crate) fn about(self) -> About {
                match self {
                    $(Slug::$variant => About { slug: $slug, title: $title, status: $status, text: $text },)*
                }
            }
        }
    };
}

slugs! {
    Malformed: "malformed-request", "The request is malformed", 400,
        "The request could not be read: its body is not a JSON object, or a header, the path or the query has the wrong format. The detail says where. Nothing was stored.";
    NotFound: "not-found", "Not found", 404,
        "There is no such endpoint, job, kind, queue, worker or bulk operation. A finished job is kept for the retention of its kind and then removed. If the id of a job is unknown, the job was never stored here or has been removed.";
    MethodNotAllowed: "method-not-allowed", "Method not allowed", 405,
        "The endpoint exists but does not accept this method. The Allow header lists the methods that it accepts.";
    RequestTimeout: "request-timeout", "The request took too long", 408,
        "The request did not arrive in time. Its head must arrive within 5 seconds, and its body at 4 KiB per second or faster, without long pauses. Nothing was stored. Send it again.";
    TooLarge: "payload-too-large", "The body is too large", 413,
        "The body is larger than server.max_body_bytes allows, or server.max_batch_bytes for a batch. Store large data elsewhere and put its address into the payload. Split a large batch.";
    UnsupportedMediaType: "unsupported-media-type", "Unsupported content type or encoding", 415,
        "Send the body with the Content-Type that the detail names, usually application/json, and uncompressed: the only accepted Content-Encoding is identity.";
    Invalid: "invalid-request", "The request is invalid", 422,
        "The request could be read but cannot be carried out: it has an unknown kind, queue or field, a payload that does not match its kind, or a value out of range. The errors field points at each mistake. Nothing was stored. GET /v1/kinds shows every kind with the JSON Schema of its payload.";
    IdempotencyKeyReused: "idempotency-key-reused", "The idempotency key was used for another request", 422,
        "An idempotency key identifies one request for 24 hours, unless its queue is configured differently (idempotency_ttl). This key was used with another body before. Bodies are compared byte by byte: repeat the original bytes instead of serializing the request again, which may change spaces or the order of fields. Use a new key for a new job.";
    WrongState: "wrong-state", "The present state does not allow this", 409,
        "Cancel applies to waiting and active jobs, run-now, reschedule and edits to waiting jobs, redrive to dead jobs. An active job cannot be deleted. A kind can be accepted while a later definition of it is held, and removed once no job and no live worker has it. A bulk operation can be aborted while it waits or runs, and at most 100 may wait or run. The detail names the state. Nothing was changed.";
    VersionMismatch: "version-mismatch", "The job has changed", 412,
        "The request was for the version of the job that If-Match names, and the job has changed since: somebody edited or rescheduled it, or it ran and waits for its next attempt. Nothing was changed. Read the job again, and repeat the change with its present ETag.";
    NotDurable: "durability-unavailable", "This Redis cannot guarantee durability", 409,
        "The request asked for durability: fsync, but this Redis cannot report when a job is on its disk. The detail says why, and how to change that. Nothing was stored. Omit durability, or change the settings of Redis.";
    NotYetOnDisk: "not-yet-on-disk", "Stored, but not yet on disk", 503,
        "The job is stored and will run, but Redis did not confirm in time that the job is on disk. Send the request again with the same Idempotency-Key: the new request waits for the disk, and nothing is stored twice. The detail names the job.";
    HeadTooLarge: "request-head-too-large", "The head of the request is too large", 431,
        "The URL and the headers of the request are too large or too many. Nothing was stored. An Idempotency-Key has 255 characters at most; put data for the job into its payload.";
    CrossSite: "cross-site-request", "Cross-site request refused", 403,
        "A web page of another origin made your browser send this request, as its Sec-Fetch-Site and Origin headers show. Only this service's own pages may change anything here. Nothing was changed. Programs other than browsers send neither header and are not affected. If the request came from one of this service's own pages, a proxy in front of it changes the Host header: configure the proxy to keep it, or to send X-Forwarded-Host, and set api.rate_limit.trusted_proxies.";
    WrongHost: "wrong-host", "Unknown host name", 421,
        "The Host header, or X-Forwarded-Host behind a trusted proxy, names a host that this service does not answer to. A gateway that listens on a loopback address answers only to loopback names, so that a web page cannot reach it through a name that the owner of the page controls. Nothing was changed. If the name belongs to this service, add it to api.hosts.";
    RateLimited: "rate-limited", "Too many requests", 429,
        "You have sent more requests or jobs than the rate limit allows. violated-policies names the limit: minute (api.rate_limit.requests_per_minute), hour (requests_per_hour) or jobs-per-minute (jobs_per_minute, which counts every job of a batch). The RateLimit-Policy and RateLimit headers show each limit and how much of it is left. Nothing was stored. Send the request again after the time in Retry-After.";
    LimiterAway: "rate-limiter-unavailable", "The rate limiter is not available", 503,
        "The rate-limit store is unavailable, and this service is configured to refuse requests until it is back (api.rate_limit.on_error: deny). Nothing was stored. Send the request again after the time in Retry-After.";
    Internal: "internal-error", "Internal error", 500,
        "The service has a bug, or its data in Redis was changed by hand. The gateway's log has a line with the same request_id.";
    Unavailable: "unavailable", "The queue is not available", 503,
        "The queue cannot be reached, does not accept jobs at the moment, or is overloaded. Nothing was stored. Send the request again after the time in Retry-After.";
    OutcomeUnknown: "outcome-unknown", "The outcome is unknown", 503,
        "The request was sent to the queue, but no reply came in time, so it may have been carried out. To enqueue, send the request again with the same Idempotency-Key, and the job is stored once; without a key it might be stored twice. For any other request, look at the job or the queue, then repeat the request if necessary; repeating it does no harm.";
    Other: "other", "The request failed", 400,
        "The request failed for a reason that has no page of its own. The status and the detail say why.";
}
