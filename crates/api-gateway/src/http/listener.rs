//! The listening socket: how it is opened, and how it is closed without harm to a client.

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use socket2::SockRef;

/// Connections that may wait to be accepted. Beyond that, clients have to wait for a TCP retransmission.
const BACKLOG: i32 = 2_048;

/// How long a client may leave its replies unread before its connection is closed.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(20);

/// The time in which the last connections are accepted and their first requests arrive.
const LAST_CONNECTIONS: Duration = Duration::from_millis(200);

/// Listens on the first address of the name that allows it.
pub(super) fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((host, port))?;
    // std sets a shorter backlog. To listen again only changes it.
    SockRef::from(&listener).listen(BACKLOG)?;
    Ok(listener)
}

/// Closes the connection of a client that does not read its replies. Only the kernel knows when the client last read
/// anything. On systems other than Linux such a connection keeps its bounded memory until the client closes it.
pub(super) fn close_if_unread(connection: &dyn Any) {
    #[cfg(target_os = "linux")]
    if let Some(stream) = connection.downcast_ref::<tokio::net::TcpStream>()
        && let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT))
    {
        tracing::debug!(%error, "cannot set a timeout for unread replies");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (connection, UNREAD_TIMEOUT);
}

/// Lets no new connection begin, and waits until the requests of those that have begun are being handled. The kernel
/// resets each connection that still waits to be accepted when the listener closes, and a client cannot know whether
/// its request was handled. A client that begins later repeats its first packet after a second, and is then refused,
/// or reaches the successor of this gateway.
pub(super) async fn serve_last_connections(listener: TcpListener) {
    if let Err(error) = ignore_new_connections(&listener) {
        tracing::debug!(%error, "cannot close the listener to new connections first");
    }
    tokio::time::sleep(LAST_CONNECTIONS).await;
}

/// Makes the kernel drop packets that begin a connection.
#[cfg(target_os = "linux")]
fn ignore_new_connections(listener: &TcpListener) -> io::Result<()> {
    use socket2::SockFilter;

    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// Offset of the flags in a TCP header.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const WHOLE_PACKET: u32 = u32::MAX;

    // A packet with SYN and without ACK is dropped. The filter must pass the ACK that completes a handshake.
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, WHOLE_PACKET),
    ])
}

/// Other systems have no such filter, so a connection may still be reset in the moment of closing.
#[cfg(not(target_os = "linux"))]
fn ignore_new_connections(_listener: &TcpListener) -> io::Result<()> {
    Ok(())
}
