//! A Redis client that fits a test: blocking, one connection, RESP2
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What Redis answered. Both nulls, of a string and of an array, are `Bulk(None)`.
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

    /// A bulk or simple string; what is not UTF-8 in it is replaced.
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

    /// An array of strings, as ZRANGE and HGETALL give it.
    #[track_caller]
    pub fn texts(self) -> Vec<String> {
        self.array().iter().map(Self::text).collect()
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Bulk(None)
    }
}

/// One connection. Every read and write is bounded by the timeout it was opened with.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn command(&mut self, words: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request)?;
        self.read()
    }

    /// The next reply without a request: what a subscription delivers.
    pub fn read(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.stream)
    }
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    // An end of the stream leaves the line without its end, perhaps empty.
    let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| not_resp(line))?;
    let number = || rest.parse::<i64>().map_err(|_| not_resp(line));
    Ok(match kind {
        "+" => Reply::Simple(rest.to_owned()),
        "-" => Reply::Error(rest.to_owned()),
        ":" => Reply::Int(number()?),
        "$" | "*" if number()? < 0 => Reply::Bulk(None),
        "$" => {
            let mut bytes = vec![0; number()? as usize + 2];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Reply::Bulk(Some(bytes))
        }
        "*" => Reply::Array((0..number()?).map(|_| read_reply(stream)).collect::<io::Result<_>>()?),
        _ => return Err(not_resp(line)),
    })
}

fn not_resp(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP2: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mut bytes: &[u8]) -> io::Result<Reply> {
        read_reply(&mut bytes)
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let reply = parse(b"*7\r\n:-3\r\n$2\r\n\xff\n\r\n$-1\r\n*-1\r\n+OK\r\n-ERR no\r\n*1\r\n$0\r\n\r\n");
        let expected = Reply::Array(vec![
            Reply::Int(-3),
            Reply::Bulk(Some(b"\xff\n".to_vec())),
            Reply::Bulk(None),
            Reply::Bulk(None),
            Reply::Simple("OK".to_owned()),
            Reply::Error("ERR no".to_owned()),
            Reply::Array(vec![Reply::Bulk(Some(vec![]))]),
        ]);
        assert_eq!(reply.expect("well-formed"), expected);
    }

    #[test]
    fn a_connection_cut_inside_a_reply_is_an_error() {
        for cut in [&b""[..], b":12", b"$5\r\nab", b"*2\r\n:1\r\n"] {
            let error = parse(cut).expect_err("cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut:?}");
        }
    }
}
