use std::error::Error;

use serde_json::json;

/// How failures and warnings are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines that begin with `error:`, `cause:` and `hint:`.
    Text,
    /// One JSON object a line.
    Json,
}

/// What could not be done, why, and what may help.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What could not be done.
    pub what: String,
    /// Why, from the nearest reason to the first.
    pub causes: Vec<String>,
    /// The likely slip or the next step.
    pub hint: Option<String>,
}

impl Failure {
    /// Longest output, in bytes: openGauss reads one block of a pipe and closes it.
    pub const MOST_BYTES: usize = 4000;

    /// Walks an error's chain of sources.
    #[must_use]
    pub fn new(what: String, error: &dyn Error, hint: Option<String>) -> Self {
        let chain = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
        let mut causes: Vec<String> = chain.map(ToString::to_string).collect();
        causes.dedup();
        Self { what, causes, hint }
    }

    /// Writes it as lines, cut to what a server's pipe takes.
    #[must_use]
    pub fn render(&self, level: &str, format: LogFormat) -> String {
        let mut text = match format {
            LogFormat::Json => {
                let Self { what, causes, hint } = self;
                format!("{}\n", json!({"level": level, "message": what, "causes": causes, "hint": hint}))
            }
            LogFormat::Text => {
                let causes = self.causes.iter().map(|cause| format!("cause: {cause}\n"));
                let hint = self.hint.iter().map(|hint| format!("hint: {hint}\n"));
                format!("{level}: {}\n{}", self.what, causes.chain(hint).collect::<String>())
            }
        };
        Self::cut(&mut text);
        text
    }

    /// Cuts a text to what a server's pipe takes.
    pub fn cut(text: &mut String) {
        if text.len() >= Self::MOST_BYTES {
            let most = Self::MOST_BYTES - "...\n".len() - 1;
            let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            text.truncate(end);
            text.push_str("...\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn failure(causes: usize) -> Failure {
        Failure {
            what: "cannot archive '000000010000000000000003'".into(),
            causes: vec!["é".repeat(600); causes],
            hint: None,
        }
    }

    #[test]
    fn a_message_has_its_causes_in_order_and_its_hint_last() {
        let error =
            crate::fsx::PathError::new("publish", "/archive/x".as_ref(), io::Error::from_raw_os_error(28));
        let failure = Failure::new("cannot archive 'x'".into(), &error, Some("Make room.".into()));
        assert_eq!(
            failure.render("error", LogFormat::Text),
            "error: cannot archive 'x'\ncause: cannot publish '/archive/x'\n\
             cause: No space left on device (os error 28)\nhint: Make room.\n"
        );
    }

    #[test]
    fn a_servers_pipe_never_overflows() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = failure(50).render("error", format);
            assert!(text.len() < Failure::MOST_BYTES && text.ends_with('\n'));
        }
    }
}
