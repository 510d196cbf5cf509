//! Which address leads where.

use actix_web::dev::HttpServiceFactory;
use actix_web::middleware::from_fn;
use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder, Route, Scope, guard};

use crate::api::metrics::Pattern;
use crate::api::{batch, dm_jobqueue_handler, health, jobs, kinds, metrics, operations, queues, workers};
use crate::console::pages;
use crate::http::limits::limit_requests;
use crate::http::problem::Problem;

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .app_data(PathConfig::default().error_handler(|error, _| Problem::malformed(format!("the path: {error}")).into()))
        .app_data(QueryConfig::default().error_handler(|error, _| Problem::malformed(format!("the query: {error}")).into()))
        .service(api(
            "/v1",
            [
                resource("/v1/jobs", [post(jobs::enqueue)]),
                resource("/v1/jobs/batch", [post(batch::enqueue)]),
                resource("/v1/jobs/{id}", [get(jobs::show), delete(operations::delete)]),
                resource("/v1/jobs/{id}/cancel", [post(operations::cancel)]),
                resource("/v1/jobs/{id}/run-now", [post(operations::run_now)]),
                resource("/v1/jobs/{id}/reschedule", [post(operations::reschedule)]),
                resource("/v1/jobs/{id}/redrive", [post(operations::redrive)]),
                resource("/v1/kinds", [get(kinds::list)]),
                resource("/v1/queues", [get(queues::list)]),
                resource("/v1/queues/{queue}", [get(queues::show)]),
                resource("/v1/queues/{queue}/pause", [post(queues::pause)]),
                resource("/v1/queues/{queue}/resume", [post(queues::resume)]),
                resource("/v1/queues/{queue}/redrive", [post(queues::redrive)]),
                resource("/v1/queues/{queue}/purge", [post(queues::purge)]),
                resource("/v1/workers", [get(workers::list)]),
                resource("/v1/workers/{id}/quiet", [post(workers::quiet)]),
                resource("/v1/workers/{id}/stop", [post(workers::stop)]),
            ],
        ))
        .service(api(
            "/api",
            [resource("/api/dm-jobqueue/register", [post(dm_jobqueue_handler::register)])],
        ))
        .service(resource("/healthz", [get(health::healthz)]))
        .service(resource("/readyz", [get(health::readyz)]))
        .service(resource("/metrics", [get(metrics::scrape)]))
        .service(resource("/health", [get(health::health)]))
        .service(resource("/", [get(pages::home)]))
        .service(resource("/register", [get(pages::register_form), post(pages::register).limited()]))
        .service(resource("/dm-jobqueue", [get(pages::old_register_page)]))
        .service(resource("/jobs/{id}", [get(pages::job)]))
        .service(resource("/problems/{slug}", [get(pages::problem)]))
        .default_service(web::to(|| async {
            Err::<&str, _>(Problem::not_found(
                "nothing is at this address; addresses are spelled as in the documentation, without a slash at the end",
            ))
        }));
}

/// Marks what programs call.
pub(crate) struct Api;

/// What programs call: everything below the prefix is limited, also what does not exist there, and all errors
/// are problem+json. This is a property of the route and not of the path's text, because a path has more than
/// one spelling (`/%76%31/jobs`).
fn api<const N: usize>(prefix: &'static str, resources: [Resource; N]) -> impl HttpServiceFactory + 'static {
    let scope = web::scope(prefix).app_data(Api);
    resources.into_iter().fold(scope, Scope::service).wrap(from_fn(limit_requests))
}

/// An address and what it takes; any other method is a 405 that says so. `path` is the whole one, also inside
/// [`api`].
fn resource<const N: usize>(path: &'static str, methods: [Method; N]) -> Resource {
    let allow = methods.each_ref().map(|method| method.allow).join(", ");
    let refused = move || {
        let problem = Problem::method_not_allowed(&allow);
        async { Err::<&str, _>(problem) }
    };
    let below = ["/v1", "/api"].iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let resource = web::resource(below).app_data(Pattern(path)).default_service(web::to(refused));
    methods.into_iter().fold(resource, |resource, method| resource.route(method.route))
}

struct Method {
    /// As the header `Allow` names it.
    allow: &'static str,
    route: Route,
}

impl Method {
    /// Counted by the rate limiter, as the API is.
    fn limited(self) -> Self {
        Method { route: self.route.wrap(from_fn(limit_requests)), ..self }
    }
}

fn get<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    Method { allow: "GET, HEAD", route: web::route().guard(reads).to(handler) }
}

fn post<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    Method { allow: "POST", route: web::post().to(handler) }
}

fn delete<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    Method { allow: "DELETE", route: web::delete().to(handler) }
}
