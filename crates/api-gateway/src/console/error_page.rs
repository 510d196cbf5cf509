//! The page that a browser gets instead of a problem document.

use actix_web::{HttpResponse, ResponseError};
use askama::Template;

use crate::console::page;
use crate::http::problem::Problem;
use crate::http::problem_types::About;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    problem: &'a Problem,
    about: About,
    request_id: &'a str,
}

pub(crate) fn render(problem: &Problem, request_id: &str) -> HttpResponse {
    let error = ErrorPage { problem, about: problem.slug.about(), request_id };
    page::render(problem.status, &error).unwrap_or_else(|problem| problem.error_response())
}
