//! A command line as the C library's `getopt_long` reads it, errors included (glibc 2.41). The parsers that Rust
//! programs use read other command lines: `-x=.gz` means `=.gz` here, options may follow arguments, a long one may be
//! cut short, and what goes wrong is told in words that scripts know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// An option that a program knows.
pub(super) struct Known {
    pub short: u8,
    pub long: &'static str,
    pub takes_value: bool,
}

/// What was typed: options in their order, with the value where one belongs to them, and all the rest.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub options: Vec<(u8, OsString)>,
    pub arguments: Vec<OsString>,
}

/// What is wrong with an option, as a line without the program's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub String);

/// Reads the words behind the program's name.
pub(super) fn parse(known: &[Known], words: &[OsString]) -> Result<Typed, Wrong> {
    let mut typed = Typed::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let next = &mut || words.next().cloned();
        match word.as_bytes() {
            b"--" => {
                typed.arguments.extend(words.cloned());
                break;
            }
            [b'-', b'-', long @ ..] => typed.options.push(long_option(known, long, next)?),
            [b'-', cluster @ ..] if !cluster.is_empty() => {
                short_options(known, cluster, next, &mut typed.options)?;
            }
            _ => typed.arguments.push(word.clone()),
        }
    }
    Ok(typed)
}

/// `--name`, `--name=value` or `--name value`; the name may be cut as long as it means one option.
fn long_option(
    known: &[Known],
    typed: &[u8],
    next: &mut dyn FnMut() -> Option<OsString>,
) -> Result<(u8, OsString), Wrong> {
    let mut parts = typed.splitn(2, |byte| *byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    let meant: Vec<&Known> = known.iter().filter(|option| option.long.as_bytes().starts_with(name)).collect();
    let exact = meant.iter().find(|option| option.long.as_bytes() == name);
    let option = match (exact, meant.as_slice()) {
        (Some(option), _) | (None, [option]) => option,
        (None, []) => return Err(Wrong(format!("unrecognized option '--{}'", lossy(typed)))),
        (None, several) => {
            let names: String = several.iter().map(|option| format!(" '--{}'", option.long)).collect();
            return Err(Wrong(format!("option '--{}' is ambiguous; possibilities:{names}", lossy(typed))));
        }
    };
    let value = match (option.takes_value, value) {
        (false, None) => OsString::new(),
        (false, Some(_)) => {
            return Err(Wrong(format!("option '--{}' doesn't allow an argument", option.long)));
        }
        (true, Some(value)) => OsString::from_vec(value.to_vec()),
        (true, None) => {
            next().ok_or_else(|| Wrong(format!("option '--{}' requires an argument", option.long)))?
        }
    };
    Ok((option.short, value))
}

/// `-abc`, `-xvalue` or `-x value`: everything behind an option that takes a value is its value.
fn short_options(
    known: &[Known],
    cluster: &[u8],
    next: &mut dyn FnMut() -> Option<OsString>,
    options: &mut Vec<(u8, OsString)>,
) -> Result<(), Wrong> {
    let mut rest = cluster;
    while let [short, behind @ ..] = rest {
        let shown = || lossy(std::slice::from_ref(short));
        let option = known.iter().find(|option| option.short == *short);
        let option = option.ok_or_else(|| Wrong(format!("invalid option -- '{}'", shown())))?;
        if option.takes_value {
            let joined = (!behind.is_empty()).then(|| OsString::from_vec(behind.to_vec()));
            let value = joined.or_else(next);
            let missing = || Wrong(format!("option requires an argument -- '{}'", shown()));
            options.push((*short, value.ok_or_else(missing)?));
            return Ok(());
        }
        options.push((*short, OsString::new()));
        rest = behind;
    }
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    OsStr::from_bytes(bytes).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [Known; 3] = [
        Known { short: b'd', long: "debug", takes_value: false },
        Known { short: b'n', long: "dry-run", takes_value: false },
        Known { short: b'x', long: "strip-extension", takes_value: true },
    ];

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect()
    }

    /// Options as `d n x=VALUE`, and the arguments behind a bar; or what is wrong.
    fn read(line: &str) -> String {
        match parse(&KNOWN, &words(line)) {
            Err(Wrong(line)) => line,
            Ok(typed) => {
                let show = |(short, value): &(u8, OsString)| {
                    let value = value.to_str().unwrap();
                    let short = char::from(*short);
                    if short == 'x' { format!("{short}={value} ") } else { format!("{short} ") }
                };
                let options: String = typed.options.iter().map(show).collect();
                let arguments: Vec<_> = typed.arguments.iter().map(|word| word.to_str().unwrap()).collect();
                format!("{options}| {}", arguments.join(" "))
            }
        }
    }

    #[test]
    fn options_stand_together_apart_behind_arguments_and_cut_short() {
        for (line, expected) in [
            ("-dn a b", "d n | a b"),
            ("a -d b -n", "d n | a b"),
            ("-x.gz a", "x=.gz | a"),
            ("-dx.gz a", "d x=.gz | a"),
            ("-x .gz a", "x=.gz | a"),
            ("-x=.gz a", "x==.gz | a"),
            ("-x -n a", "x=-n | a"),
            ("-x -- a", "x=-- | a"),
            ("-- -d", "| -d"),
            ("a -- -d b", "| a -d b"),
            ("- -d", "d | -"),
            ("--debug --dry-run", "d n | "),
            ("--de --dr a", "d n | a"),
            ("--strip-extension=.gz", "x=.gz | "),
            ("--s .gz a", "x=.gz | a"),
            ("--strip-extension=", "x= | "),
            ("--s=a=b", "x=a=b | "),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_as_the_c_library_tells_it() {
        for (line, expected) in [
            ("-q", "invalid option -- 'q'"),
            ("-dq a", "invalid option -- 'q'"),
            ("-d-n", "invalid option -- '-'"),
            ("a -x", "option requires an argument -- 'x'"),
            ("--strip-ext", "option '--strip-extension' requires an argument"),
            ("--dry=1", "option '--dry-run' doesn't allow an argument"),
            ("--nope=1", "unrecognized option '--nope=1'"),
            ("--d", "option '--d' is ambiguous; possibilities: '--debug' '--dry-run'"),
            ("--=x", "option '--=x' is ambiguous; possibilities: '--debug' '--dry-run' '--strip-extension'"),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_none_panics(line in proptest::collection::vec("(-{0,2}[dnxq=.a-]{0,6}){0,1}", 0..6)) {
            let words: Vec<OsString> = line.iter().map(OsString::from).collect();
            if let Ok(typed) = parse(&KNOWN, &words) {
                let plain = |word: &&String| !word.starts_with('-') || *word == "-";
                let values = typed.options.iter().filter(|(short, _)| *short == b'x').count();
                prop_assert!(typed.arguments.len() + values >= line.iter().filter(plain).count());
            }
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_command_line_nothing_is_made_up(
                line in mutated_text(&["-dn --strip-extension=.gz /a 000000010000000000000003", "-x .gz --de -- -d", "--debug=1 -q"]),
            ) {
                let words = words(&line);
                if let Ok(typed) = parse(&KNOWN, &words) {
                    prop_assert!(typed.arguments.len() <= words.len());
                    prop_assert!(typed.arguments.iter().all(|argument| words.contains(argument)));
                }
            }
        }
    }
}
