//! `GET /problems/{slug}`: the explanation of a problem, to which its `type` leads.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use askama::Template;

use crate::console::page;
use crate::http::problem::Problem;
use crate::http::problem_types::{About, Slug};
use crate::http::replies::Reply;

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    about: About,
}

pub(crate) async fn show(slug: Path<String>) -> Reply {
    let about = Slug::ALL.iter().map(|slug| slug.about()).find(|about| about.slug == *slug);
    let about = about.ok_or_else(|| Problem::not_found(format!("there is no problem {:?}", *slug)))?;
    page::render(StatusCode::OK, &ProblemPage { about })
}
