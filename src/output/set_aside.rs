use serde_json::{Value, json};

use super::SCHEMA;
use crate::commands::SetAsideReport;

/// Says where the file lies now.
#[must_use]
pub fn set_aside_text(report: &SetAsideReport) -> String {
    format!("'{}' is set aside; it lies at '{}' now.\n", report.name, report.now_at)
}

/// The same for machines.
#[must_use]
pub fn set_aside_json(report: &SetAsideReport) -> Value {
    json!({"schema": SCHEMA, "name": report.name.to_string(), "set_aside_as": report.now_at})
}
