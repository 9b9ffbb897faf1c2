//! The walkeep command.

fn main() {}
