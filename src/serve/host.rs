//! A host: the name that somebody asked for, as the request's `Host` tells it. Whoever lures a browser to a name of
//! his own, and then lets that name lead to this address, could read here what only this host may (DNS rebinding):
//! the browser still tells the name that it was lured to. So it is answered only to names that are nobody else's. An
//! address is none that could be made to lead elsewhere.

use std::net::{IpAddr, Ipv6Addr};

/// What was asked for, without its port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    Address(IpAddr),
    /// In lower case, without a dot at its end.
    Name(String),
}

impl Host {
    /// Reads the value of a `Host` field; `None` where it makes no sense.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
        };
        let is_port = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit());
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        if text.starts_with('[') {
            return host.parse::<Ipv6Addr>().ok().map(|address| Self::Address(address.into()));
        }
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if host.is_empty() || !host.bytes().all(is_letter) {
            return None;
        }
        let name = || Self::Name(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase());
        Some(host.parse().map_or_else(|_| name(), Self::Address))
    }
}

/// The hosts that it is answered to.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    own_name: String,
    only_loopback: bool,
}

impl Hosts {
    /// On a listener of this host alone, its loopback names and addresses; on another one every address, and the
    /// machine's own name besides.
    pub fn of_listener(on: IpAddr, own_name: &str) -> Self {
        Self { own_name: own_name.to_ascii_lowercase(), only_loopback: on.to_canonical().is_loopback() }
    }

    /// Whether it is answered. `None` is a request of HTTP/1.0 that names no host: no browser sends one.
    pub fn have(&self, host: Option<&Host>) -> bool {
        match host {
            None => true,
            Some(Host::Address(address)) => !self.only_loopback || address.to_canonical().is_loopback(),
            Some(Host::Name(name)) => {
                let short_name = self.own_name.split('.').next().unwrap_or_default();
                let is_own = *name == self.own_name || name == short_name;
                name == "localhost" || (!self.only_loopback && is_own)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(on: &str, hosts: &[&str]) -> Vec<bool> {
        let answering = Hosts::of_listener(on.parse().unwrap(), "Db1.Example.com");
        hosts.iter().map(|host| answering.have(Host::parse(host).as_ref())).collect()
    }

    #[test]
    fn this_host_alone_answers_to_loopback_names_and_addresses_alone() {
        let own =
            ["localhost", "LOCALHOST.:80", "127.0.0.1", "127.1.2.3:9187", "[::1]:9187", "[::ffff:127.0.0.1]"];
        let others = [
            "evil.example",
            "localhost.evil.example:9187",
            "10.0.0.1",
            "[::2]",
            "db1",
            "db1.example.com",
            "127.0.0.1.nip.io",
        ];
        for on in ["127.0.0.1", "127.0.0.2", "::1"] {
            assert_eq!(answered(on, &own), [true; 6]);
            assert_eq!(answered(on, &others), [false; 7]);
        }
    }

    #[test]
    fn elsewhere_it_is_answered_to_every_address_and_the_machines_own_name() {
        for on in ["0.0.0.0", "::", "10.0.0.1"] {
            let own = ["localhost", "10.0.0.1:9187", "[fe80::1]", "db1:9187", "DB1.example.com"];
            assert_eq!(answered(on, &own), [true; 5]);
            assert_eq!(answered(on, &["evil.example", "db1.evil.example", "db2", "example.com"]), [false; 4]);
        }
    }

    #[test]
    fn what_is_no_host_makes_no_sense() {
        for text in [
            "", ":9187", "[::1", "[::1]x", "[::1]:", "a:b", "a:70000", "a:+1", "a b", "a/b", "a@b", "[a]",
            "a:1:2",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", wild in "[\\[\\]:.0-9a-f]{0,20}") {
            let _ = (Host::parse(&text), Host::parse(&wild));
        }
    }
}
