use std::fmt::Write as _;
use std::time::SystemTime;

use indicatif::HumanDuration;
use serde_json::{Value, json};

use super::SCHEMA;
use super::time::show_time;
use crate::commands::ClaimListReport;
use crate::commands::facts::{Claim, ClaimKey, NodeRole};

/// Says what was recorded.
#[must_use]
pub fn claim_text(claim: &Claim) -> String {
    let mut text = format!(
        "'{}' needs everything from {} on (timeline {}); its slots: {}\n",
        claim.node,
        horizon(claim),
        claim.last.timeline,
        claim.slots.len()
    );
    details(&mut text, claim, None);
    text
}

/// The earliest position that anything of a claim pins.
fn horizon(claim: &Claim) -> String {
    let redo = claim.last.redo;
    let slots = claim.slots.iter().filter_map(|slot| slot.needed_from(redo));
    let departed = claim.departed.iter().map(|slot| slot.restart_lsn);
    slots.chain(departed).chain(claim.backup_start).fold(redo, std::cmp::Ord::min).to_string()
}

/// The claims as a table.
#[must_use]
pub fn claim_list_text(report: &ClaimListReport) -> String {
    if report.claims.is_empty() {
        return "No node has a claim.\n".to_owned();
    }
    let mut text = row(["NODE", "ROLE", "TIMELINE", "REDO", "SLOTS", "AGE"]);
    for claim in &report.claims {
        let age = HumanDuration(claim.age(report.now)).to_string();
        let (timeline, redo) = (claim.last.timeline.to_string(), claim.last.redo.to_string());
        let slots = claim.slots.len().to_string();
        let fits = claim.node.chars().count() <= NODE_WIDTH;
        if !fits {
            let _ = writeln!(text, "{}", claim.node);
        }
        let node = if fits { claim.node.as_str() } else { "" };
        text.push_str(&row([node, role_word(claim.role), &timeline, &redo, &slots, &age]));
        details(&mut text, claim, Some(report.now));
    }
    text
}

const NODE_WIDTH: usize = 20;

fn row([node, role, timeline, redo, slots, age]: [&str; 6]) -> String {
    let row = format!("{node:NODE_WIDTH$} {role:<13} {timeline:<8} {redo:<17} {slots:<5} {age}");
    format!("{}\n", row.trim_end())
}

/// What stands below a claim's own line.
fn details(text: &mut String, claim: &Claim, now: Option<SystemTime>) {
    let _ =
        writeln!(text, "  claim '{}', data directory '{}'", claim.key(), claim.data_directory.escape_debug());
    if now.is_some_and(|now| claim.is_stale(now)) {
        text.push_str("  STALE: not seen for more than a day; it pins until it is removed\n");
    }
    if let Some(start) = claim.backup_start {
        let _ = writeln!(text, "  a base backup began at {start}");
    }
    for slot in &claim.slots {
        let needed = match slot.needed_from(claim.last.redo) {
            None => "given up by the server".to_owned(),
            Some(from) if slot.restart_lsn.is_none() => format!("no position yet; pins from {from} on"),
            Some(from) => format!("pins from {from} on"),
        };
        let _ = writeln!(text, "  slot '{}': {needed}", slot.name);
    }
    for slot in &claim.departed {
        let _ = writeln!(
            text,
            "  slot '{}': gone since {}; pins from {} on",
            slot.name,
            show_time(slot.departed_at),
            slot.restart_lsn
        );
    }
}

const fn role_word(role: NodeRole) -> &'static str {
    match role {
        NodeRole::Primary => "primary",
        NodeRole::Standby => "standby",
        NodeRole::Recovering => "recovering",
        NodeRole::InTransition => "in transition",
        NodeRole::ShutDown => "shut down",
        NodeRole::ShutDownInRecovery => "standby, down",
        NodeRole::Crashed => "crashed",
    }
}

/// What was recorded, for machines.
#[must_use]
pub fn claim_json(claim: &Claim) -> Value {
    json!({"schema": SCHEMA, "claim": one(claim, claim.observed_at)})
}

/// The claims for machines.
#[must_use]
pub fn claim_list_json(report: &ClaimListReport) -> Value {
    let claims: Vec<Value> = report.claims.iter().map(|claim| one(claim, report.now)).collect();
    json!({"schema": SCHEMA, "claims": claims})
}

fn one(claim: &Claim, now: SystemTime) -> Value {
    let slots = claim.slots.iter().map(|slot| {
        json!({
            "name": slot.name,
            "physical": slot.physical,
            "restart_lsn": slot.restart_lsn.map(|lsn| lsn.to_string()),
            "pins_from": slot.needed_from(claim.last.redo).map(|lsn| lsn.to_string()),
            "invalidated": slot.invalidated,
        })
    });
    let departed = claim.departed.iter().map(|slot| {
        json!({
            "name": slot.name,
            "restart_lsn": slot.restart_lsn.to_string(),
            "departed_at": show_time(slot.departed_at),
        })
    });
    json!({
        "key": claim.key().to_string(),
        "node": claim.node,
        "data_directory": claim.data_directory,
        "system_identifier": claim.system_identifier.to_string(),
        "dialect": claim.dialect,
        "role": claim.role.key(),
        "timeline": claim.last.timeline.get(),
        "checkpoint": claim.last.checkpoint.to_string(),
        "redo": claim.last.redo.to_string(),
        "backup_start": claim.backup_start.map(|lsn| lsn.to_string()),
        "slots": slots.collect::<Vec<_>>(),
        "departed": departed.collect::<Vec<_>>(),
        "observed_at": show_time(claim.observed_at),
        "age_seconds": claim.age(now).as_secs(),
        "stale": claim.is_stale(now),
    })
}

/// Says which claim is gone.
#[must_use]
pub fn claim_removed_text(key: &ClaimKey) -> String {
    format!("Claim '{key}' is removed; what its node needs is protected no more.\n")
}

/// The same for machines.
#[must_use]
pub fn claim_removed_json(key: &ClaimKey) -> Value {
    json!({"schema": SCHEMA, "removed": key.to_string()})
}
