//! From what the operating system says to a typed failure.
//!
//! Every client dials through [`dial`] and tells its input and output errors through [`of_io`], so that the same cause
//! has the same name over every protocol. Left out: what rustls says (`tls`), and what HTTP or gRPC say (their clients).

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

use defib_engine::observation::{Failure, Stage};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::{CONNECT_WITHIN, Trouble, detail, tls};

/// What an input or output error in this stage says of the other side.
#[must_use]
pub fn of_io(error: &Error, stage: Stage) -> Failure {
    if let Some(error) = tls::behind(error) {
        return tls::classify(error);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof
        | ErrorKind::WriteZero => Failure::Reset,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => Failure::Unreachable,
        // The kernel's own end of patience with a silent peer.
        ErrorKind::TimedOut => Failure::Timeout(stage),
        ErrorKind::InvalidData => Failure::Garbage(detail(&error.to_string())),
        _ => Failure::Protocol(detail(&error.to_string())),
    }
}

/// The same, where the error may lie on our own side (no file descriptor, no port, no permission), or may be the other
/// side's refusal of our certificate.
pub(crate) fn trouble_of_io(error: &Error, stage: Stage) -> Trouble {
    if tls::behind(error).is_some_and(tls::refuses_us) {
        return Trouble::Unknown(defib_engine::observation::Why::Unauthorized(detail(&error.to_string())));
    }
    // Linux: EPERM, EMFILE, ENFILE, ENOMEM, ENOBUFS, EACCES, EADDRINUSE, EADDRNOTAVAIL come before any packet leaves.
    match error.raw_os_error() {
        Some(1 | 12 | 13 | 23 | 24 | 98 | 99 | 105) => Trouble::own_side(error),
        _ => Trouble::Failed(of_io(error, stage)),
    }
}

/// Connects within [`CONNECT_WITHIN`], and not after `until`. Small writes leave at once.
///
/// # Errors
/// The failure of the stage [`Stage::Connect`], or our own side's trouble.
pub(crate) async fn dial(address: SocketAddr, until: Instant) -> Result<TcpStream, Trouble> {
    let until = until.min(Instant::now() + CONNECT_WITHIN);
    match timeout_at(until, TcpStream::connect(address)).await {
        Err(_) => Err(Failure::Timeout(Stage::Connect).into()),
        Ok(Err(error)) => Err(trouble_of_io(&error, Stage::Connect)),
        Ok(Ok(stream)) => {
            // Without it a request may wait for an acknowledgement; failing to set it only costs time.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%address, %error, "cannot send small writes at once");
            }
            Ok(stream)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_the_kernel_says() {
        let cases = [
            (ErrorKind::ConnectionRefused, Failure::Refused),
            (ErrorKind::ConnectionReset, Failure::Reset),
            (ErrorKind::BrokenPipe, Failure::Reset),
            (ErrorKind::UnexpectedEof, Failure::Reset),
            (ErrorKind::HostUnreachable, Failure::Unreachable),
            (ErrorKind::NetworkUnreachable, Failure::Unreachable),
            (ErrorKind::TimedOut, Failure::Timeout(Stage::Handshake)),
        ];
        for (kind, expected) in cases {
            assert_eq!(of_io(&Error::from(kind), Stage::Handshake), expected, "{kind:?}");
        }
    }

    #[test]
    fn our_own_lack_of_descriptors_says_nothing_of_the_other_side() {
        let error = Error::from_raw_os_error(24);
        assert!(matches!(trouble_of_io(&error, Stage::Connect), Trouble::Unknown(_)));
    }
}
