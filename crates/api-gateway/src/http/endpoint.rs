//! A path with the methods that it accepts. Any other method is a 405 that lists them.

use actix_web::web;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard};

use crate::http::problem::Problem;
use crate::http::request_metrics::Pattern;

pub(crate) struct Endpoint {
    path: &'static str,
    methods: Vec<Method>,
}

/// A method of an endpoint and its handler.
pub(crate) struct Method {
    /// The method's part of the header `Allow`.
    pub(crate) allow: &'static str,
    pub(crate) route: Route,
}

/// `path` is the whole path, prefix of the scope included.
pub(crate) fn endpoint<const N: usize>(path: &'static str, methods: [Method; N]) -> Endpoint {
    Endpoint { path, methods: methods.into() }
}

impl Endpoint {
    /// The resource for a scope with this prefix, or for no scope if the prefix is empty.
    pub(crate) fn within(self, prefix: &str) -> Resource {
        let allow = self.methods.iter().map(|method| method.allow).collect::<Vec<_>>().join(", ");
        let refuse = move || {
            let problem = Problem::method_not_allowed(&allow);
            async { Err::<&str, _>(problem) }
        };
        let relative = self.path.strip_prefix(prefix).unwrap_or(self.path);
        let resource = web::resource(relative).app_data(Pattern(self.path)).default_service(web::to(refuse));
        self.methods.into_iter().fold(resource, |resource, method| resource.route(method.route))
    }
}

pub(crate) fn get<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    let reads = guard::Any(guard::Get()).or(guard::Head());
    Method { allow: "GET, HEAD", route: web::route().guard(reads).to(handler) }
}

pub(crate) fn post<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    Method { allow: "POST", route: web::post().to(handler) }
}

pub(crate) fn delete<F, Args>(handler: F) -> Method
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    Method { allow: "DELETE", route: web::delete().to(handler) }
}
