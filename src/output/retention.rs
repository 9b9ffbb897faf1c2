//! What pruning would do now, as status and gate tell it.

use std::time::Duration;

use indicatif::{HumanBytes, HumanDuration};
use serde_json::{Value, json};

use crate::health::{PinFacts, RetentionFacts, Unknown};

/// How many pins are told beside the horizon.
const MOST_TOLD: usize = 3;

/// Where the horizon lies and who holds it; `None` where nobody pins anything.
pub(super) fn horizon_words(retention: &RetentionFacts) -> Option<String> {
    retention.pins.first().map(pin_words)
}

fn pin_words(pin: &PinFacts) -> String {
    format!("{}: {}", pin.from, pin.who)
}

/// The section of a screen.
pub(super) fn lines(retention: &RetentionFacts, free_bytes: Option<u64>) -> Vec<String> {
    let mut lines: Vec<String> = match horizon_words(retention) {
        Some(words) => vec![format!("horizon {words}")],
        None => vec!["nobody pins anything".to_owned()],
    };
    lines
        .extend(retention.held_alone_bytes.map(|bytes| format!("{} stay for that alone", HumanBytes(bytes))));
    let others = retention.pins.iter().skip(1);
    lines.extend(others.clone().take(MOST_TOLD).map(|pin| format!("then {}", pin_words(pin))));
    let more = others.count().saturating_sub(MOST_TOLD);
    lines.extend((more > 0).then(|| format!("and {more} more")));
    lines.push(prune_words(retention));
    lines.extend(growth_words(retention, free_bytes));
    lines
}

fn prune_words(retention: &RetentionFacts) -> String {
    let files = retention.removable_files;
    match (retention.is_licensed, retention.removable_bytes) {
        (false, _) => "no policy is set: a prune would remove nothing".to_owned(),
        (true, _) if files == 0 => "a prune would remove nothing".to_owned(),
        (true, Some(bytes)) => format!("a prune would remove {files} files, {}", HumanBytes(bytes)),
        (true, None) => format!("a prune would remove {files} files"),
    }
}

fn growth_words(retention: &RetentionFacts, free_bytes: Option<u64>) -> Option<String> {
    let growth = retention.growth.filter(|growth| growth.bytes > 0)?;
    let full = free_bytes.and_then(|free| growth.fills(free));
    let full = full
        .map_or_else(String::new, |left| format!(": unpruned it is full in {}", HumanDuration(whole(left))));
    Some(format!("{} a day come at the pace of late{full}", HumanBytes(growth.bytes_a_day())))
}

const fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The same for machines.
pub(super) fn json(retention: &Result<RetentionFacts, Unknown>) -> Value {
    let told = match retention {
        Ok(told) => told,
        Err(unknown) => return json!({"not_known": unknown.0}),
    };
    let pins = told
        .pins
        .iter()
        .map(|pin| json!({"from": pin.from.to_string(), "description": pin.who, "policy": pin.is_policy}));
    json!({
        "policy_set": told.is_licensed,
        "horizon": told.pins.first().map(|pin| pin.from.to_string()),
        "pins": pins.collect::<Vec<_>>(),
        "held_alone_bytes": told.held_alone_bytes,
        "removable_files": told.removable_files,
        "removable_bytes": told.removable_bytes,
        "bytes_a_day": told.growth.map(|growth| growth.bytes_a_day()),
    })
}
