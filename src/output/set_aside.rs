use serde_json::{Value, json};

use super::SCHEMA;
use crate::commands::SetAside;

/// Says where each file lies now.
#[must_use]
pub fn set_aside_text(files: &[SetAside]) -> String {
    let line = |file: &SetAside| format!("'{}' is set aside; it lies at '{}' now.\n", file.name, file.now_at);
    files.iter().map(line).collect()
}

/// The same for machines. The file that is named alone stands for itself, too.
#[must_use]
pub fn set_aside_json(files: &[SetAside]) -> Value {
    let one = |file: &SetAside| json!({"name": file.name.to_string(), "set_aside_as": file.now_at});
    let mut report = json!({"schema": SCHEMA, "files": files.iter().map(one).collect::<Vec<_>>()});
    if let ([only], Value::Object(report)) = (files, &mut report)
        && let Value::Object(only) = one(only)
    {
        report.extend(only);
    }
    report
}
