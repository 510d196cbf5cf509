//! A blocking Redis client for tests: one connection that speaks RESP2
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame as _};

/// An answer of Redis. The null string and the null array are both `Bulk(None)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Int(i64),
    Bulk(Option<Vec<u8>>),
    Simple(String),
    Error(String),
    Array(Vec<Reply>),
}

impl Reply {
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Self::Int(int) => *int,
            other => panic!("expected an integer from Redis, got {other:?}"),
        }
    }

    /// A bulk or simple string. Invalid UTF-8 is replaced.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Simple(text) => text.clone(),
            other => panic!("expected a string from Redis, got {other:?}"),
        }
    }

    #[track_caller]
    pub fn array(self) -> Vec<Reply> {
        match self {
            Self::Array(items) => items,
            other => panic!("expected an array from Redis, got {other:?}"),
        }
    }

    /// An array of strings, for example from ZRANGE or HGETALL.
    #[track_caller]
    pub fn texts(self) -> Vec<String> {
        self.array().iter().map(Self::text).collect()
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Bulk(None)
    }
}

impl From<OwnedFrame> for Reply {
    fn from(frame: OwnedFrame) -> Self {
        match frame {
            OwnedFrame::Integer(int) => Self::Int(int),
            OwnedFrame::BulkString(bytes) => Self::Bulk(Some(bytes)),
            OwnedFrame::Null => Self::Bulk(None),
            OwnedFrame::SimpleString(text) => Self::Simple(String::from_utf8_lossy(&text).into_owned()),
            OwnedFrame::Error(error) => Self::Error(error),
            OwnedFrame::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
        }
    }
}

/// One connection. The timeout given to `open` bounds every read and write.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes behind the last reply that was returned.
    received: Vec<u8>,
}

impl Connection {
    pub fn open(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    pub fn command(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        let words = words.iter().map(|word| OwnedFrame::BulkString(word.as_ref().to_vec()));
        let frame = OwnedFrame::Array(words.collect());
        let mut request = vec![0; frame.encode_len(false)];
        encode(&mut request, &frame, false).map_err(|error| invalid(&error))?;
        self.stream.write_all(&request)?;
        self.read()
    }

    /// Reads the next reply without sending a request, as a subscriber does.
    pub fn read(&mut self) -> io::Result<Reply> {
        let mut piece = vec![0; 64 << 10];
        loop {
            // Decoding starts from the first byte each time, so it is tried only where a reply can end.
            if self.received.ends_with(b"\r\n")
                && let Some((frame, bytes)) = decode(&self.received).map_err(|error| invalid(&error))?
            {
                self.received.drain(..bytes);
                return Ok(frame.into());
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.received.extend_from_slice(&piece[..read]),
            }
        }
    }
}

fn invalid(error: &RedisProtocolError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP2: {error}"))
}
