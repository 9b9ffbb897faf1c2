//! The command line: what the postmaster was started with, as it wrote it down itself (`CreateOptsFile` in
//! postmaster.c): the program, and each argument between quotation marks with nothing escaped.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::scanner::Assignment;

/// What matters of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// `-c name=value` and `--name=value`, in order.
    pub settings: Vec<Assignment>,
    /// The last `-D`: where the configuration lies, which need not be the data directory.
    directory: Option<Vec<u8>>,
}

/// The options of any server that have a value (the getopt string of `PostmasterMain`, 9.6 to 18 and openGauss).
const WITH_VALUE: &[u8] = b"ABCDMNSWZcdfhkoprtu";

impl CommandLine {
    /// What `-D` says.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref().map(|bytes| Path::new(OsStr::from_bytes(bytes)))
    }

    pub fn parse(text: &[u8]) -> Self {
        let mut found = Self::default();
        let mut arguments = arguments(text);
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix(b"-") {
                Some(b"-") | None => {}
                Some(option) => found.take(option, &mut arguments),
            }
        }
        found
    }

    /// Takes options that are written together, and the value of the last of them. The servers' `-o` is for
    /// their sessions alone (up to 13), and leaves the archiver as it is.
    fn take<'a>(&mut self, option: &'a [u8], arguments: &mut impl Iterator<Item = &'a [u8]>) {
        if let Some(long) = option.strip_prefix(b"-") {
            self.settings.extend(setting(long));
            return;
        }
        let Some(at) = option.iter().position(|letter| WITH_VALUE.contains(letter)) else { return };
        let value = option.get(at + 1..).filter(|rest| !rest.is_empty()).or_else(|| arguments.next());
        match (option.get(at), value) {
            (Some(b'c'), Some(value)) => self.settings.extend(setting(value)),
            (Some(b'D'), Some(value)) => self.directory = Some(value.to_vec()),
            _ => {}
        }
    }
}

/// `name=value`, a dash in the name standing for an underscore (`ParseLongOption`).
fn setting(text: &[u8]) -> Option<Assignment> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let name = String::from_utf8_lossy(text.get(..equals)?).to_ascii_lowercase().replace('-', "_");
    Some(Assignment { name, value: text.get(equals + 1..)?.to_vec() })
}

/// The arguments, without the program before them.
fn arguments(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    let mut rest = after(text, b" \"").map(|(_, rest)| rest);
    std::iter::from_fn(move || {
        let text = rest?;
        let split = after(text, b"\" \"");
        rest = split.map(|(_, rest)| rest);
        Some(split.map_or(text, |(before, _)| before))
    })
}

/// The text before and behind the first separator.
fn after<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|window| window == separator)?;
    text.get(..at).zip(text.get(at + separator.len()..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(text: &str) -> Vec<(String, String)> {
        let parsed = CommandLine::parse(text.as_bytes());
        let text = |set: Assignment| (set.name, String::from_utf8(set.value).unwrap());
        parsed.settings.into_iter().map(text).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn settings_are_found_in_every_form_in_order() {
        let text = "/usr/bin/postgres \"-D\" \"/d\" \"-c\" \"archive_mode=on\" \"--archive-command=cp %p /a b/%f\" \
                    \"-cWAL_LEVEL=replica\" \"-iFc\" \"archive_mode=off\"\n";
        let expected = [
            pair("archive_mode", "on"),
            pair("archive_command", "cp %p /a b/%f"),
            pair("wal_level", "replica"),
            pair("archive_mode", "off"),
        ];
        assert_eq!(settings(text), expected);
    }

    #[test]
    fn the_values_of_other_options_are_not_taken_for_settings() {
        let text =
            "postgres \"-p\" \"-cport=1\" \"-k\" \"--a=b\" \"-o\" \"-c archive_mode=on\" \"-M\" \"-Dx\"\n";
        assert_eq!(CommandLine::parse(text.as_bytes()), CommandLine::default());
    }

    #[test]
    fn quotation_marks_and_spaces_within_arguments_stay() {
        let text = "/opt/my server/bin/postgres \"-c\" \"archive_command=cp \"%p\" '/a/%f'\"\n";
        assert_eq!(settings(text), [pair("archive_command", "cp \"%p\" '/a/%f'")]);
        assert_eq!(settings("postgres \"-c\" \"archive_command=\"\n"), [pair("archive_command", "")]);
        assert_eq!(settings("postgres \"-c\" \"a=b\nc\"\n"), [pair("a", "b\nc")]);
    }

    #[test]
    fn the_last_directory_counts() {
        let directory = |text: &str| CommandLine::parse(text.as_bytes()).directory().map(Path::to_path_buf);
        assert_eq!(directory("p \"-D\" \"/a\" \"-D/b c\"\n"), Some("/b c".into()));
        assert_eq!(directory("p\n"), None);
        assert_eq!(directory("p \"-D\"\n"), None);
    }

    #[test]
    fn what_is_no_setting_is_passed_over() {
        for text in
            ["", "\n", "postgres\n", "p \"-c\"\n", "p \"-c\" \"name\"\n", "p \"--\" \"-\" \"\"\n", "\"\"\"\""]
        {
            assert_eq!(settings(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..200), opts in "[-cD=a\" \n]{0,60}") {
            let _ = CommandLine::parse(&text);
            let _ = CommandLine::parse(opts.as_bytes());
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_command_line_it_says_no_more_than_stands_there(
                text in mutated(vec![
                    b"/usr/bin/postgres \"-D\" \"/d\" \"-c\" \"archive_mode=on\" \"--archive-command=cp %p /a b/%f\"\n".to_vec(),
                    b"/opt/Kingbase/bin/kingbase \"-D\" \"/data\" \"-cWAL_LEVEL=replica\"\n".to_vec(),
                ]),
            ) {
                let said = CommandLine::parse(&text).settings;
                prop_assert!(said.iter().map(|set| set.value.len()).sum::<usize>() <= text.len());
            }
        }
    }
}
