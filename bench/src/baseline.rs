//! The baseline for HTTP on this machine: a handler that reads the same body, stores nothing and answers 201.

use std::net::TcpListener;
use std::sync::mpsc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;

use crate::wrk;

/// Requests per second.
pub(crate) fn measure(seconds: u64, connections: u64) -> anyhow::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (started, handle) = mpsc::channel();
    let server = std::thread::spawn(move || serve(listener, &started));
    let handle = handle.recv().context("the baseline server did not start")?;
    let requests = wrk::posts(&format!("http://{address}"), wrk::Body::Job, seconds, connections);
    // The returned future only waits for the end, which joining the thread does too.
    drop(handle.stop(false));
    server.join().map_err(|_| anyhow::anyhow!("the baseline server panicked"))??;
    Ok(requests?.per_second)
}

fn serve(listener: TcpListener, started: &mpsc::Sender<ServerHandle>) -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| App::new().route("/v1/jobs", web::post().to(created)))
            .disable_signals()
            .listen(listener)?
            .run();
        // If the receiver is gone, nobody uses the server.
        let _ = started.send(server.handle());
        server.await
    })
}

async fn created(body: web::Bytes) -> HttpResponse {
    HttpResponse::Created().json(body.len())
}
