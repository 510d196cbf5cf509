//! Every path of the gateway, its handlers, and the middleware in front of them.

use actix_web::Scope;
use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};

use crate::api::{batch, dm_jobqueue_handler, health, jobs, kinds, metrics, operations, queues, workers};
use crate::console::{home, job, problem, register};
use crate::http::endpoint::{Endpoint, Method, delete, endpoint, get, post};
use crate::http::envelope::Api;
use crate::http::identity::identify;
use crate::http::limits::limit_requests;
use crate::http::problem::Problem;

pub(crate) fn routes(config: &mut ServiceConfig) {
    let path_errors = PathConfig::default()
        .error_handler(|error, _| Problem::malformed(format!("the path: {error}")).into());
    let query_errors = QueryConfig::default()
        .error_handler(|error, _| Problem::malformed(format!("the query: {error}")).into());
    config
        .app_data(path_errors)
        .app_data(query_errors)
        .service(api(
            "/v1",
            [
                endpoint("/v1/jobs", [post(jobs::enqueue)]),
                endpoint("/v1/jobs/batch", [post(batch::enqueue)]),
                endpoint("/v1/jobs/{id}", [get(jobs::show), delete(operations::delete)]),
                endpoint("/v1/jobs/{id}/cancel", [post(operations::cancel)]),
                endpoint("/v1/jobs/{id}/run-now", [post(operations::run_now)]),
                endpoint("/v1/jobs/{id}/reschedule", [post(operations::reschedule)]),
                endpoint("/v1/jobs/{id}/redrive", [post(operations::redrive)]),
                endpoint("/v1/kinds", [get(kinds::list)]),
                endpoint("/v1/queues", [get(queues::list)]),
                endpoint("/v1/queues/{queue}", [get(queues::show)]),
                endpoint("/v1/queues/{queue}/pause", [post(queues::pause)]),
                endpoint("/v1/queues/{queue}/resume", [post(queues::resume)]),
                endpoint("/v1/queues/{queue}/redrive", [post(queues::redrive)]),
                endpoint("/v1/queues/{queue}/purge", [post(queues::purge)]),
                endpoint("/v1/workers", [get(workers::list)]),
                endpoint("/v1/workers/{id}/quiet", [post(workers::quiet)]),
                endpoint("/v1/workers/{id}/stop", [post(workers::stop)]),
            ],
        ))
        .service(api("/api", [endpoint("/api/dm-jobqueue/register", [post(dm_jobqueue_handler::register)])]));
    for endpoint in [
        // Probes and metrics.
        endpoint("/healthz", [get(health::healthz)]),
        endpoint("/readyz", [get(health::readyz)]),
        endpoint("/health", [get(health::health)]),
        endpoint("/metrics", [get(metrics::scrape)]),
        // The console.
        endpoint("/", [get(home::show)]),
        endpoint("/register", [get(register::form), limited(post(register::submit))]),
        endpoint("/dm-jobqueue", [get(register::old_page)]),
        endpoint("/jobs/{id}", [get(job::show)]),
        endpoint("/problems/{slug}", [get(problem::show)]),
    ] {
        config.service(endpoint.within(""));
    }
    config.default_service(web::to(|| async {
        let detail = "no such endpoint; paths are case-sensitive and have no trailing slash";
        Err::<&str, _>(Problem::not_found(detail))
    }));
}

/// The endpoints for programs below `prefix`, each behind the same middleware: [`identify`], where authentication
/// belongs, then the rate limits. It covers unknown paths below `prefix` too. Their errors are always problem+json.
/// All this depends on the scope and not on the text of the path, because a path has several spellings
/// (`/%76%31/jobs`).
fn api<const N: usize>(prefix: &'static str, endpoints: [Endpoint; N]) -> impl HttpServiceFactory + 'static {
    let scope = web::scope(prefix).app_data(Api);
    let resources = endpoints.into_iter().map(|endpoint| endpoint.within(prefix));
    // The middleware that is added last runs first.
    resources.fold(scope, Scope::service).wrap(from_fn(limit_requests)).wrap(from_fn(identify))
}

/// A method outside of the API behind the same middleware.
fn limited(method: Method) -> Method {
    let route = method.route.wrap(from_fn(limit_requests)).wrap(from_fn(identify));
    Method { route, ..method }
}
