//! Serving: pages of text over HTTP/1.1, to whoever asks on an address of this host. It only answers: nothing that is
//! sent here changes anything. A few calls of the standard library do that; the small servers that there are as crates
//! are hardly kept, or bring a whole runtime, and none has these limits.

mod host;
mod request;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use host::Hosts;
use request::{MOST_HEAD_BYTES, Refused, Request};

/// Where to serve: `HOST:PORT` by numbers, or a port of this host alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)));
        }
        text.parse()
            .map(Self)
            .map_err(|_| format!("'{text}' is no address such as 127.0.0.1:9187, and no port"))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The status of HTTP: 200, or 503 where it cannot be told now.
    pub status: u16,
    /// Its media type.
    pub content_type: &'static str,
    /// All of it.
    pub body: String,
}

/// A socket that is listened on.
pub struct Server {
    listener: TcpListener,
}

/// How many connections are served at once; others are closed unanswered.
const MOST_CONNECTIONS: usize = 8;

/// How long one may take, from its first byte to its last.
const MOST_TIME: Duration = Duration::from_secs(10);

/// How long is waited where no connection can be accepted, as where no descriptor is left.
const PAUSE: Duration = Duration::from_millis(200);

impl Server {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn listen(address: Address) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address.0)? })
    }

    /// Where it listens: the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<Address> {
        self.listener.local_addr().map(Address)
    }

    /// Answers for as long as the process runs, on a thread of its own; `page` says what lies under a path. On an
    /// address of this host alone only requests whose `Host` is `localhost` or a loopback address are answered;
    /// elsewhere also those for any other address, and for `own_name`, the machine's: everybody else may be a browser
    /// that was lured here by a name that somebody lets lead to this address.
    ///
    /// # Errors
    /// When there is no thread to be had, or the system does not say where it listens.
    pub fn go_on(
        self,
        own_name: &str,
        page: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
    ) -> io::Result<()> {
        let hosts = Hosts::of_listener(self.listener.local_addr()?.ip(), own_name);
        let (answered, open) = (Arc::new((hosts, page)), Arc::new(AtomicUsize::new(0)));
        let accept = move || {
            for stream in self.listener.incoming() {
                let Ok(stream) = stream else {
                    thread::sleep(PAUSE);
                    continue;
                };
                let Some(place) = Place::taken(&open) else { continue };
                let answered = Arc::clone(&answered);
                let answer = move || {
                    let _place = place;
                    // Whoever asked may have gone.
                    let _ = answer(&stream, &answered.0, &answered.1);
                };
                let _ = thread::Builder::new().name("http".to_owned()).spawn(answer);
            }
        };
        thread::Builder::new().name("http".to_owned()).spawn(accept).map(drop)
    }
}

/// One of the few connections.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn taken(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::SeqCst) < MOST_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn answer(stream: &TcpStream, hosts: &Hosts, page: impl Fn(&str) -> Option<Page>) -> io::Result<()> {
    let until = Instant::now() + MOST_TIME;
    let text = |status, body: &str| Page { status, content_type: TEXT, body: body.to_owned() };
    let (page, with_body) = match Request::parse(&head(stream, until)?) {
        Ok(Request { host, with_body, .. }) if !hosts.have(host.as_ref()) => (
            text(421, "this answers to no such host: ask by an address, or by a name of this machine\n"),
            with_body,
        ),
        Ok(Request { path, with_body, .. }) => {
            (page(&path).unwrap_or_else(|| text(404, "there is no such page\n")), with_body)
        }
        Err(Refused::Method) => (text(405, "GET and HEAD only: nothing can be changed here\n"), true),
        Err(Refused::TooLong) => (text(431, "the request is too long\n"), true),
        Err(Refused::NoSense) => (text(400, "this is no request\n"), true),
    };
    let Page { status, content_type, body } = page;
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}{SAFE}Connection: close\r\n\r\n",
        reason(status),
        body.len(),
    );
    if with_body {
        bytes.push_str(&body);
    }
    write(stream, bytes.as_bytes(), until)?;
    stream.shutdown(std::net::Shutdown::Write)?;
    // What was sent beyond the head is taken, for a while: closed over it, the answer would be lost.
    drain(stream, until);
    Ok(())
}

/// What every answer says: nothing is kept, guessed or told to others, and a page has all of itself within it: its style,
/// its pictures, and no script.
const SAFE: &str = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

/// The media type of plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}

/// Reads up to the empty line that ends a head, and no more than one may have.
fn head(mut stream: &TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !request::is_whole(&head) && head.len() <= MOST_HEAD_BYTES {
        stream.set_read_timeout(Some(left(until)?))?;
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes)? {
            0 => break,
            read => head.extend_from_slice(bytes.get(..read).unwrap_or_default()),
        }
    }
    Ok(head)
}

/// Writes all of it, however slowly it is taken, as long as there is time.
fn write(mut stream: &TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        let written = stream.write(bytes)?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

fn drain(mut stream: &TcpStream, until: Instant) {
    let most = Duration::from_millis(500);
    let mut taken = 0;
    while let Ok(left) = left(until)
        && stream.set_read_timeout(Some(left.min(most))).is_ok()
        && let Ok(read @ 1..) = stream.read(&mut [0; 4096])
        && taken < MOST_DRAINED
    {
        taken += read;
    }
}

/// So much is taken of what nobody asked for.
const MOST_DRAINED: usize = 64 << 10;

/// The time that is left; an error where there is none.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_this_host_and_other_addresses_have_to_be_typed() {
        let shown = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(shown("9187"), Ok("127.0.0.1:9187".to_owned()));
        assert_eq!(shown("[::1]:9187"), Ok("[::1]:9187".to_owned()));
        assert_eq!(shown("0.0.0.0:9187"), Ok("0.0.0.0:9187".to_owned()));
        for text in ["", ":9187", "localhost", "localhost:9187", "70000", "127.0.0.1", "127.0.0.1:70000"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}
