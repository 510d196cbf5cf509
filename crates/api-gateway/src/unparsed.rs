//! Replies to what never became a request: it is no HTTP, or its head is too large or does not come.
//! actix makes these by itself, without a body, and has no hook to change them. So the connection
//! does, which knows them by what they lack: every other reply carries a request id.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::http::StatusCode;
use atode_queue::{Client, JobId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::envelope::{PROBLEM_JSON, X_REQUEST_ID};
use crate::problem::Problem;

/// How long a client may go on sending after such a reply.
const LINGER: Duration = Duration::from_secs(1);

/// A client's connection. Whatever is not such a reply passes through it as it is.
pub(crate) struct Connection<S> {
    stream: S,
    /// Knows the time, which is in a request id.
    client: Client,
    /// What is left to be written of a reply that was given a body.
    reply: Vec<u8>,
    /// Set once that reply is written.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, client: Client) -> Self {
        Connection { stream, client, reply: Vec::new(), linger: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut stream = Pin::new(&mut this.stream);
        let (before, Some(bare)) = split_bare(bytes) else { return stream.poll_write(cx, bytes) };
        if !before.is_empty() {
            return stream.poll_write(cx, before);
        }
        if this.linger.is_none() && this.reply.is_empty() {
            this.reply = with_document(bare, this.client.new_id()).into_bytes();
        }
        while !this.reply.is_empty() {
            let written = ready!(stream.as_mut().poll_write(cx, &this.reply))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.reply.drain(..written);
        }
        // The connection closes after this. If the client is still sending then, it gets a reset
        // instead of the reply (RFC 9112, 9.6): so what it sends is read and dropped for a while.
        let linger = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut dropped = [0; 4_096];
        while linger.as_mut().poll(cx).is_pending() {
            let mut dropped = ReadBuf::new(&mut dropped);
            ready!(stream.as_mut().poll_read(cx, &mut dropped))?;
            if dropped.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

const EMPTY: &str = "content-length: 0\r\n";

/// Parts an error without a body and a request id, always the last that is written, from what stands
/// before it.
fn split_bare(bytes: &[u8]) -> (&[u8], Option<&str>) {
    let start = || {
        // Such a head has about 100 bytes: two short lines, the status and the date.
        let earliest = bytes.len().saturating_sub(200);
        let at = bytes[earliest..].windows(10).rposition(|window| window == b"HTTP/1.1 4")?;
        Some(earliest + at)
    };
    let start = if bytes.ends_with(b"\r\n\r\n") { start() } else { None };
    let bare = start.and_then(|start| std::str::from_utf8(&bytes[start..]).ok());
    match bare.filter(|bare| bare.contains(EMPTY) && !bare.contains(X_REQUEST_ID.as_str())) {
        Some(bare) => (&bytes[..bytes.len() - bare.len()], Some(bare)),
        None => (bytes, None),
    }
}

fn with_document(bare: &str, id: JobId) -> String {
    let status = bare.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(StatusCode::BAD_REQUEST);
    let detail = match status {
        StatusCode::REQUEST_TIMEOUT => "the head of the request did not arrive within 5 s",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            "a request may have 128 KiB of address and headers, and 96 headers"
        }
        _ => {
            "this is no request as HTTP/1.1 has it: its first line, a header or what frames its body is wrong"
        }
    };
    let body = Problem::of_status(status, detail.to_owned()).json(&id.to_string());
    let length = body.len();
    let headers =
        format!("content-length: {length}\r\ncontent-type: {PROBLEM_JSON}\r\n{X_REQUEST_ID}: {id}\r\n");
    bare.replacen(EMPTY, &headers, 1) + &body
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str =
        "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: Tue\r\n\r\n";

    #[test]
    fn only_an_error_without_a_body_and_a_request_id_is_taken_for_one() {
        assert_eq!(split_bare(BARE.as_bytes()), (&b""[..], Some(BARE)));
        let behind = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: 1\r\n\r\nOK{BARE}");
        assert_eq!(split_bare(behind.as_bytes()).1, Some(BARE));
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n",
            "é\r\n\r\n",
            "",
        ] {
            assert_eq!(split_bare(other.as_bytes()), (other.as_bytes(), None), "{other}");
        }
    }

    #[test]
    fn it_gets_a_body_and_keeps_its_other_headers() {
        let reply = with_document(BARE, JobId::new(1));
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.ends_with("\r\ndate: Tue"),
            "{head}"
        );
        assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("/problems/malformed-request"), "{body}");
    }
}
