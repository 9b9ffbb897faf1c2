use std::fmt::Write as _;

use serde_json::{Value, json};

use super::SCHEMA;
use super::time::show_time;
use crate::commands::HoldListReport;
use crate::commands::facts::{Hold, HoldName};

/// Says what is held from now on.
#[must_use]
pub fn hold_added_text(hold: &Hold) -> String {
    let until = hold
        .until
        .map_or_else(|| "until it is removed".to_owned(), |until| format!("until {}", show_time(until)));
    format!("Hold '{}' keeps everything from {} on, {until}.\n", hold.name, hold.from)
}

/// The same for machines.
#[must_use]
pub fn hold_added_json(hold: &Hold) -> Value {
    json!({"schema": SCHEMA, "hold": one(hold)})
}

/// The holds as a table.
#[must_use]
pub fn hold_list_text(report: &HoldListReport) -> String {
    if report.holds.is_empty() {
        return "There is no hold.\n".to_owned();
    }
    let mut text = format!("{:<24} {:<17} {:<20} SET ON\n", "NAME", "FROM", "UNTIL");
    for hold in &report.holds {
        let until = hold.until.map_or_else(|| "no end".to_owned(), show_time);
        let (name, from) = (hold.name.to_string(), hold.from.to_string());
        let _ = writeln!(text, "{name:<24} {from:<17} {until:<20} {}", hold.node.escape_debug());
        if hold.has_expired(report.now) {
            text.push_str("  EXPIRED: it holds nothing any more\n");
        }
        let _ = writeln!(text, "  {}, since {}", hold.reason.escape_debug(), show_time(hold.created_at));
    }
    text
}

/// The holds for machines.
#[must_use]
pub fn hold_list_json(report: &HoldListReport) -> Value {
    let with_end = |hold: &Hold| {
        let mut value = one(hold);
        if let Value::Object(hold_json) = &mut value {
            hold_json.insert("expired".to_owned(), hold.has_expired(report.now).into());
        }
        value
    };
    json!({"schema": SCHEMA, "holds": report.holds.iter().map(with_end).collect::<Vec<_>>()})
}

fn one(hold: &Hold) -> Value {
    json!({
        "name": hold.name.to_string(),
        "from": hold.from.to_string(),
        "reason": hold.reason,
        "until": hold.until.map(show_time),
        "created_at": show_time(hold.created_at),
        "node": hold.node,
    })
}

/// Says which hold is gone.
#[must_use]
pub fn hold_removed_text(name: &HoldName) -> String {
    format!("Hold '{name}' is removed.\n")
}

/// The same for machines.
#[must_use]
pub fn hold_removed_json(name: &HoldName) -> Value {
    json!({"schema": SCHEMA, "removed": name.to_string()})
}
