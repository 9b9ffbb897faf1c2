//! Promises kept on real servers: PostgreSQL 12, 15 and 18, and 12 in the shape of KingbaseES.
//!
//! `sh tests/run.sh --setup` brings the servers; a test that misses one fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

/// Makes each promise, a function of a product, a test on every server of the matrix.
macro_rules! on_every_server {
    ($($promise:ident),+ $(,)?) => {
        on_every_server!(@ postgresql_15, POSTGRESQL_15, $($promise),+);
        on_every_server!(@ postgresql_18, POSTGRESQL_18, $($promise),+);
        on_every_server!(@ kingbase_shape, KINGBASE_SHAPE, $($promise),+);
        mod postgresql_12 {
            $(#[test]
            #[ignore = "PostgreSQL 12, which the shape of KingbaseES is: sh tests/run.sh --long matrix"]
            fn $promise() {
                super::$promise(crate::support::product::POSTGRESQL_12);
            })+
        }
    };
    (@ $server:ident, $product:ident, $($promise:ident),+) => {
        mod $server {
            $(#[test]
            fn $promise() {
                super::$promise(crate::support::product::$product);
            })+
        }
    };
}

/// Makes a test of each sweep: the last requests on PostgreSQL 15, and all of them on every version.
macro_rules! sweeps {
    ($($sweep:ident: $last:literal),+ $(,)?) => {
        /// With one fault at each of the last requests.
        mod ends {
            $(#[test]
            fn $sweep() {
                super::$sweep(crate::support::product::POSTGRESQL_15, crate::support::requests::Which::Last($last));
            })+
        }
        sweeps!(@ postgresql_12, POSTGRESQL_12, $($sweep),+);
        sweeps!(@ postgresql_15, POSTGRESQL_15, $($sweep),+);
        sweeps!(@ postgresql_18, POSTGRESQL_18, $($sweep),+);
    };
    (@ $server:ident, $product:ident, $($sweep:ident),+) => {
        mod $server {
            $(#[test]
            #[ignore = "long run: sh tests/run.sh --long matrix"]
            fn $sweep() {
                super::$sweep(crate::support::product::$product, crate::support::requests::Which::All);
            })+
        }
    };
}

#[path = "../support/mod.rs"]
mod support;

mod archiving;
mod broken_repository;
mod claim;
mod documents;
mod drain;
mod environment;
mod failback;
mod fork_segment;
mod incidents;
mod kept_backups;
mod killed_archive_calls;
mod lost_histories;
mod missing_segments;
mod prefetch;
mod promotion_in_an_outage;
mod promotion_requests;
mod prune;
mod records;
mod recovery_requests;
mod repmgr;
mod returning_node;
mod rewind;
mod run_state;
mod segment_sizes;
mod server_config;
mod slots;
mod soak;
mod standby;
mod status;
mod stopped_kingbase;
mod switchover_refused;
mod torn_segment;
mod watch;
mod wrong_clock;
