//! Reports, rendered: text for people, JSON for programs. Decides nothing.

pub mod inspect;
