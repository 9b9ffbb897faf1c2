//! walkeep keeps the write-ahead log of KingbaseES, PostgreSQL and openGauss.
//!
//! The modules stand in layers; each imports only from those above it in this list. ARCHITECTURE.md says what
//! each is for, `tests/architecture.rs` holds the order.

// L0: the words, and the only place where bytes become durable.
pub mod wal;

pub mod fsx;

pub mod wake;

pub mod serve;

// L1: a data directory, read-only; bytes under keys.
pub mod cluster;

pub mod storage;

pub mod health;

pub mod retention;

// L2: WAL files in a store.
pub mod repository;

// L3: the work of each verb.
pub mod commands;

// L4: reports for people and machines; flags in, exit code out.
pub mod output;

pub mod cli;
