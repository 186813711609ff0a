//! One plain HTTP exchange, for addresses on the loopback and in the lab.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer may be so large; an etcd's metrics have 150 KiB.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Asks for a path and gives the status and the body.
pub(crate) fn get(address: SocketAddr, path: &str, deadline: Duration) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, deadline)?;
    stream.set_read_timeout(Some(deadline))?;
    stream.set_write_timeout(Some(deadline))?;
    let question = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok((status, answer.split_off(end + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_and_a_body_come_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            // Whoever closes with a part of the question unread resets the connection.
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a question");
                asked.extend(byte);
            }
            stream.write_all(b"HTTP/1.0 503 No\r\nX: y\r\n\r\nbo\r\n\r\ndy").expect("an answer");
            String::from_utf8_lossy(&asked).into_owned()
        });
        let (status, body) = get(address, "/x", Duration::from_secs(5)).expect("an answer");
        assert_eq!((status, body.as_slice()), (503, b"bo\r\n\r\ndy".as_slice()));
        assert!(server.join().expect("no panic").starts_with("GET /x HTTP/1.0\r\n"));
    }
}
