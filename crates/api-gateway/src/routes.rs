//! Which address leads where.

use actix_web::web::{self, FormConfig, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{Resource, Route};

use crate::problem::Problem;
use crate::{dm_jobqueue_handler, health, jobs, kinds, pages, queues, workers};

pub(crate) fn routes(config: &mut ServiceConfig) {
    config
        .app_data(PathConfig::default().error_handler(|error, _| Problem::malformed(format!("the path: {error}")).into()))
        .app_data(QueryConfig::default().error_handler(|error, _| Problem::malformed(format!("the query: {error}")).into()))
        .app_data(FormConfig::default().error_handler(|error, _| Problem::malformed(format!("the form: {error}")).into()))
        .service(resource("/v1/jobs", "POST", [web::post().to(jobs::enqueue)]))
        .service(resource("/v1/jobs/batch", "POST", [web::post().to(jobs::enqueue_batch)]))
        .service(resource("/v1/jobs/{id}", "GET", [web::get().to(jobs::show)]))
        .service(resource("/v1/kinds", "GET", [web::get().to(kinds::list)]))
        .service(resource("/v1/queues", "GET", [web::get().to(queues::list)]))
        .service(resource("/v1/queues/{queue}", "GET", [web::get().to(queues::show)]))
        .service(resource("/v1/workers", "GET", [web::get().to(workers::list)]))
        .service(resource("/api/dm-jobqueue/register", "POST", [web::post().to(dm_jobqueue_handler::register)]))
        .service(resource("/healthz", "GET", [web::get().to(health::healthz)]))
        .service(resource("/readyz", "GET", [web::get().to(health::readyz)]))
        .service(resource("/health", "GET", [web::get().to(health::health)]))
        .service(resource("/", "GET", [web::get().to(pages::home)]))
        .service(resource(
            "/register",
            "GET, POST",
            [web::get().to(pages::register_form), web::post().to(pages::register)],
        ))
        .service(resource("/dm-jobqueue", "GET", [web::get().to(pages::old_register_page)]))
        .service(resource("/jobs/{id}", "GET", [web::get().to(pages::job)]))
        .service(resource("/problems/{slug}", "GET", [web::get().to(pages::problem)]))
        .default_service(web::to(|| async { Err::<&str, _>(Problem::not_found("nothing is at this address")) }));
}

/// An address and what it takes; any other method is a 405 that says so.
fn resource(path: &'static str, allow: &'static str, routes: impl IntoIterator<Item = Route>) -> Resource {
    let refused = move || async move { Err::<&str, _>(Problem::method_not_allowed(allow)) };
    routes.into_iter().fold(web::resource(path).default_service(web::to(refused)), Resource::route)
}
