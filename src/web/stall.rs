//! A connection that ends when whoever is behind it takes nothing for too long: a reader that never reads would hold its
//! place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What is written must be taken, at least in part, within this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// A stream whose writes do not wait for ever.
#[derive(Debug)]
pub(super) struct Stall {
    stream: TcpStream,
    /// Running while a write waits.
    waits: Option<Pin<Box<Sleep>>>,
    within: Duration,
}

impl Stall {
    pub(super) fn new(stream: TcpStream) -> Stall {
        Stall { stream, waits: None, within: TAKEN_WITHIN }
    }

    fn waited<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.waits = None;
            return polled;
        }
        let until = Instant::now() + self.within;
        let waits = self.waits.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        match waits.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Stall {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stall {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(context, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.waited(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_reader_that_never_reads_is_let_go_and_one_that_reads_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let block = vec![7; 64 * 1024];
        for reads in [false, true] {
            let mut reader = TcpStream::connect(address).await.unwrap();
            let stream = listener.accept().await.unwrap().0;
            let mut writer = Stall { within: Duration::from_millis(300), ..Stall::new(stream) };
            let reading = tokio::spawn(async move {
                let mut taken = vec![0; 64 * 1024];
                while reads && reader.read(&mut taken).await.is_ok_and(|bytes| bytes > 0) {}
                std::future::pending::<()>().await;
                drop(reader);
            });
            let mut written = Ok(());
            for _ in 0..1_000 {
                written = writer.write_all(&block).await;
                if written.is_err() {
                    break;
                }
            }
            assert_eq!(written.map_err(|error| error.kind()).err(), (!reads).then_some(io::ErrorKind::TimedOut));
            reading.abort();
        }
    }
}
