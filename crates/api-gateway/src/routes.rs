//! Every path of the gateway, its handlers, and the middleware in front of them.

use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{Resource, Route, Scope, guard};

use crate::api::{
    batch, bulk, edit, events, explain, failures, health, jobs, kinds, list, metrics, old_service, openapi,
    operations, queues, scale, stats, workers,
};
use crate::console::{docs, home, job, problem, register};
use crate::http::envelope::Api;
use crate::http::identity::identify;
use crate::http::limits::limit_requests;
use crate::http::problem::Problem;
use crate::http::request_metrics::Pattern;

pub(crate) fn routes(config: &mut ServiceConfig) {
    let path_errors = PathConfig::default()
        .error_handler(|error, _| Problem::malformed(format!("the path: {error}")).into());
    let query_errors = QueryConfig::default()
        .error_handler(|error, _| Problem::malformed(format!("the query: {error}")).into());
    let v1 = |path| endpoint("/v1", path);
    let old = |path| endpoint("/api", path);
    let page = |path| endpoint("", path);
    config
        .app_data(path_errors)
        .app_data(query_errors)
        // Before its scope, because it has no rate limits.
        .service(
            page("/v1/queues/{queue}/scale")
                .app_data(Api)
                .route(get().to(scale::show))
                .wrap(from_fn(identify)),
        )
        .service(api(
            "/v1",
            [
                v1("/v1/jobs").route(get().to(list::list)).post(jobs::enqueue),
                v1("/v1/jobs/batch").post(batch::enqueue),
                v1("/v1/jobs/{id}").route(get().to(jobs::show)).patch(edit::edit).delete(operations::delete),
                v1("/v1/jobs/{id}/explain").route(get().to(explain::show)),
                v1("/v1/jobs/{id}/cancel").post(operations::cancel),
                v1("/v1/jobs/{id}/run-now").post(operations::run_now),
                v1("/v1/jobs/{id}/reschedule").post(operations::reschedule),
                v1("/v1/jobs/{id}/redrive").post(operations::redrive),
                v1("/v1/bulk").route(get().to(bulk::list)).post(bulk::start),
                v1("/v1/bulk/{id}").route(get().to(bulk::show)),
                v1("/v1/bulk/{id}/abort").post(bulk::abort),
                v1("/v1/events").route(get().to(events::show)),
                v1("/v1/failures").route(get().to(failures::list)),
                v1("/v1/failures/{fingerprint}/redrive").post(failures::redrive),
                v1("/v1/kinds").route(get().to(kinds::list)),
                v1("/v1/kinds/{kind}").route(get().to(kinds::show)).delete(kinds::remove),
                v1("/v1/kinds/{kind}/accept").post(kinds::accept),
                v1("/v1/kinds/{kind}/reject").post(kinds::reject),
                v1("/v1/queues").route(get().to(queues::list)),
                v1("/v1/queues/{queue}").route(get().to(queues::show)),
                v1("/v1/queues/{queue}/pause").post(queues::pause),
                v1("/v1/queues/{queue}/resume").post(queues::resume),
                v1("/v1/queues/{queue}/redrive").post(queues::redrive),
                v1("/v1/queues/{queue}/purge").post(queues::purge),
                v1("/v1/stats").route(get().to(stats::show)),
                v1("/v1/workers").route(get().to(workers::list)),
                v1("/v1/workers/{id}/quiet").post(workers::quiet),
                v1("/v1/workers/{id}/stop").post(workers::stop),
            ],
        ))
        .service(api("/api", [old("/api/dm-jobqueue/register").post(old_service::register)]))
        // Probes and metrics.
        .service(page("/healthz").route(get().to(health::healthz)))
        .service(page("/readyz").route(get().to(health::readyz)))
        .service(page("/health").route(get().to(health::health)))
        .service(page("/metrics").route(get().to(metrics::scrape)))
        // The document of all this.
        .service(page("/openapi.json").route(get().to(openapi::show)))
        .service(page("/docs").route(get().to(docs::show)))
        // The console.
        .service(page("/").route(get().to(home::show)))
        .service(
            page("/register").route(get().to(register::form)).route(
                web::post().to(register::submit).wrap(from_fn(limit_requests)).wrap(from_fn(identify)),
            ),
        )
        .service(page("/dm-jobqueue").route(get().to(register::old_page)))
        .service(page("/jobs/{id}").route(get().to(job::show)))
        .service(page("/problems/{slug}").route(get().to(problem::show)))
        .default_service(web::to(|| async {
            let detail = "no such endpoint; paths are case-sensitive and have no trailing slash";
            Err::<&str, _>(Problem::not_found(detail))
        }));
}

/// The endpoints for programs below `prefix`, each behind the same middleware: [`identify`], where authentication
/// belongs, then the rate limits. It covers unknown paths below `prefix` too. Their errors are always problem+json.
/// All this depends on the scope and not on the text of the path, because a path has several spellings
/// (`/%76%31/jobs`).
fn api<const N: usize>(prefix: &str, endpoints: [Resource; N]) -> impl HttpServiceFactory + 'static {
    let scope = web::scope(prefix).app_data(Api);
    // The middleware that is added last runs first.
    endpoints.into_iter().fold(scope, Scope::service).wrap(from_fn(limit_requests)).wrap(from_fn(identify))
}

/// The endpoint at `path`, which includes the prefix of its scope. actix answers 405 to a method without a route.
fn endpoint(prefix: &str, path: &'static str) -> Resource {
    web::resource(path.strip_prefix(prefix).unwrap_or(path)).app_data(Pattern(path))
}

/// A route for GET and HEAD. actix leaves the body out of the reply to HEAD.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
