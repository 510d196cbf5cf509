//! Which address leads where.

use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard};

use crate::metrics::Pattern;
use crate::problem::Problem;
use crate::{batch, dm_jobqueue_handler, health, jobs, kinds, metrics, operations, pages, queues, workers};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .app_data(PathConfig::default().error_handler(|error, _| Problem::malformed(format!("the path: {error}")).into()))
        .app_data(QueryConfig::default().error_handler(|error, _| Problem::malformed(format!("the query: {error}")).into()))
        .service(resource("/v1/jobs", [post(jobs::enqueue)]))
        .service(resource("/v1/jobs/batch", [post(batch::enqueue)]))
        .service(resource("/v1/jobs/{id}", [get(jobs::show), delete(operations::delete)]))
        .service(resource("/v1/jobs/{id}/cancel", [post(operations::cancel)]))
        .service(resource("/v1/jobs/{id}/run-now", [post(operations::run_now)]))
        .service(resource("/v1/jobs/{id}/reschedule", [post(operations::reschedule)]))
        .service(resource("/v1/jobs/{id}/redrive", [post(operations::redrive)]))
        .service(resource("/v1/kinds", [get(kinds::list)]))
        .service(resource("/v1/queues", [get(queues::list)]))
        .service(resource("/v1/queues/{queue}", [get(queues::show)]))
        .service(resource("/v1/queues/{queue}/pause", [post(queues::pause)]))
        .service(resource("/v1/queues/{queue}/resume", [post(queues::resume)]))
        .service(resource("/v1/queues/{queue}/redrive", [post(queues::redrive)]))
        .service(resource("/v1/queues/{queue}/purge", [post(queues::purge)]))
        .service(resource("/v1/workers", [get(workers::list)]))
        .service(resource("/v1/workers/{id}/quiet", [post(workers::quiet)]))
        .service(resource("/v1/workers/{id}/stop", [post(workers::stop)]))
        .service(resource("/api/dm-jobqueue/register", [post(dm_jobqueue_handler::register)]))
        .service(resource("/healthz", [get(health::healthz)]))
        .service(resource("/readyz", [get(health::readyz)]))
        .service(resource("/metrics", [get(metrics::scrape)]))
        .service(resource("/health", [get(health::health)]))
        .service(resource("/", [get(pages::home)]))
        .service(resource("/register", [get(pages::register_form), post(pages::register)]))
        .service(resource("/dm-jobqueue", [get(pages::old_register_page)]))
        .service(resource("/jobs/{id}", [get(pages::job)]))
        .service(resource("/problems/{slug}", [get(pages::problem)]))
        .default_service(web::to(|| async {
            Err::<&str, _>(Problem::not_found(
                "nothing is at this address; addresses are spelled as in the documentation, without a slash at the end",
            ))
        }));
}

/// An address and what it takes; any other method is a 405 that says so.
fn resource<const N: usize>(path: &'static str, methods: [Method; N]) -> Resource {
    let allow = methods.each_ref().map(|method| method.allow).join(", ");
    let refused = move || {
        let problem = Problem::method_not_allowed(allow.clone());
        async { Err::<&str, _>(problem) }
    };
    let resource = web::resource(path).app_data(Pattern(path)).default_service(web::to(refused));
    methods.into_iter().fold(resource, |resource, method| resource.route(method.route))
}

struct Method {
    /// As the header `Allow` names it.
    allow: &'static str,
    route: Route,
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
