//! A request: the first line of a head and the host that is asked for. The rest is not read.

use super::host::Host;

/// Longest head that is read, in bytes.
pub(super) const MOST_HEAD_BYTES: usize = 8 << 10;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    /// The path, without what stands behind `?`.
    pub path: String,
    /// Not for HEAD.
    pub with_body: bool,
    /// Whom it is asked of; HTTP/1.0 need not say.
    pub host: Option<Host>,
}

/// Why nothing is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    Method,
    TooLong,
    NoSense,
}

/// Whether a head has come to its end.
pub(super) fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|bytes| bytes == b"\r\n\r\n")
}

impl Request {
    /// Reads a head; it has to be whole.
    pub fn parse(head: &[u8]) -> Result<Self, Refused> {
        if !is_whole(head) {
            return Err(if head.len() > MOST_HEAD_BYTES { Refused::TooLong } else { Refused::NoSense });
        }
        let end = head.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or_default();
        if end + 4 > MOST_HEAD_BYTES {
            return Err(Refused::TooLong);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| Refused::NoSense)?;
        let mut words = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refused::NoSense);
        };
        let is_plain = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || !matches!(version, "HTTP/1.0" | "HTTP/1.1") || !is_method(method) {
            return Err(Refused::NoSense);
        }
        let with_body = match method {
            "GET" => true,
            "HEAD" => false,
            _ => return Err(Refused::Method),
        };
        let host = host(head, version)?;
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Ok(Self { path, with_body, host })
    }
}

/// The one `Host` that there is; from HTTP/1.1 on there has to be one (RFC 9112, 3.2).
fn host(head: &[u8], version: &str) -> Result<Option<Host>, Refused> {
    let fields = head.split(|byte| *byte == b'\n').skip(1);
    let mut hosts = fields.filter_map(|line| {
        let name = line.get(..HOST.len())?;
        name.eq_ignore_ascii_case(HOST).then(|| line.get(HOST.len()..).unwrap_or_default())
    });
    match (hosts.next(), hosts.next()) {
        (None, _) if version == "HTTP/1.0" => Ok(None),
        (Some(only), None) => {
            let text = std::str::from_utf8(only).map_err(|_| Refused::NoSense)?;
            let text = text.trim_matches([' ', '\t', '\r']);
            Host::parse(text).map(Some).ok_or(Refused::NoSense)
        }
        _ => Err(Refused::NoSense),
    }
}

const HOST: &[u8] = b"host:";

fn is_method(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<(String, bool), Refused> {
        let head = format!("{line}\r\nHost: x\r\n\r\nbody");
        Request::parse(head.as_bytes()).map(|request| (request.path, request.with_body))
    }

    #[test]
    fn only_get_and_head_of_a_plain_path_make_sense() {
        assert_eq!(parse("GET /metrics HTTP/1.1"), Ok(("/metrics".to_owned(), true)));
        assert_eq!(parse("HEAD /?x=1 HTTP/1.0"), Ok(("/".to_owned(), false)));
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "X"] {
            assert_eq!(parse(&format!("{method} / HTTP/1.1")), Err(Refused::Method));
        }
        for line in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/2",
            "GET http://x/ HTTP/1.1",
            "GET /\u{7f} HTTP/1.1",
            "get / HTTP/1.1",
            "GET /\n HTTP/1.1",
        ] {
            assert_eq!(parse(line), Err(Refused::NoSense), "{line:?}");
        }
    }

    #[test]
    fn a_request_names_one_host_and_only_an_old_one_may_leave_it_out() {
        let host = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
            Request::parse(head.as_bytes()).map(|request| request.host)
        };
        let name = || Some(Host::Name("db1".to_owned()));
        assert_eq!(host("X: y\r\nhOsT: \tdb1:9187 \r\nZ: host: z"), Ok(name()));
        for fields in ["X: y", "Host: a\r\nHost: a", "Host:", "Host : a", "Host: a b", "Host: \u{e9}"] {
            assert_eq!(host(fields), Err(Refused::NoSense), "{fields}");
        }
        assert_eq!(Request::parse(b"GET / HTTP/1.0\r\n\r\n").map(|request| request.host), Ok(None));
        let two = b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n";
        assert_eq!(Request::parse(two), Err(Refused::NoSense));
    }

    #[test]
    fn a_head_that_does_not_end_or_is_too_long_is_refused() {
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\n"), Err(Refused::NoSense));
        assert_eq!(Request::parse(&[b'x'; MOST_HEAD_BYTES + 1]), Err(Refused::TooLong));
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(MOST_HEAD_BYTES));
        assert_eq!(Request::parse(long.as_bytes()), Err(Refused::TooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(&[&bytes[..], b"\r\n\r\n"].concat());
        }
    }
}
