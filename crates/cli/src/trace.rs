//! The trace that a command belongs to: `TRACEPARENT` and `TRACESTATE`, as tools that run commands in a trace set them
//! (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).

use std::env;

use atode_config::traces::TraceContext;

use crate::print;

/// The context in the environment, if any. A value that is none is a mistake of whoever set it; the command works
/// without.
pub(crate) fn of_the_environment() -> Option<TraceContext> {
    let parent = env::var("TRACEPARENT").ok().filter(|value| !value.is_empty())?;
    let context = TraceContext::parse(&parent, env::var("TRACESTATE").ok().as_deref());
    if context.is_none() {
        print::warning("TRACEPARENT is not valid, so the job belongs to no trace");
    }
    context
}
