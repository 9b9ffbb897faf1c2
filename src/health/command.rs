//! A command as a server runs it: its words, its length, and how it is quoted.

/// The longest name of a WAL file: a base backup's history.
const LONGEST_NAME: &str = "000000010000000000000001.00000028.backup";

/// The words of a command as a shell would split it, as far as that is plain; without one, as white space does.
pub(super) fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None | Some('"'), '\\') => word.get_or_insert_with(String::new).extend(chars.next()),
            (_, c) => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

/// The program that a command calls.
#[must_use]
pub fn program_of(command: &str) -> Option<String> {
    words(command).into_iter().next()
}

/// The repository that a call of walkeep names with a flag, as a path.
#[must_use]
pub fn repository_of(command: &str) -> Option<String> {
    let words = words(command);
    let mut named = words.iter().enumerate().filter_map(|(at, word)| match word.as_str() {
        "--repo" | "-r" => words.get(at + 1).map(String::as_str),
        word => word.strip_prefix("--repo=").or_else(|| word.strip_prefix("-r")),
    });
    let named = named.next_back()?;
    Some(named.strip_prefix("file://").unwrap_or(named).to_owned())
}

/// How long a command can become once its placeholders are replaced (`pgarch_archiveXlog` in pgarch.c).
pub(super) fn expanded_bytes(command: &str, wal_directory: &str) -> usize {
    let mut bytes = 0;
    let mut chars = command.chars().peekable();
    while let Some(c) = chars.next() {
        let placeholder = if c == '%' { chars.peek().copied() } else { None };
        bytes += match placeholder {
            Some('p') => wal_directory.len() + 1 + LONGEST_NAME.len(),
            Some('f') => LONGEST_NAME.len(),
            Some('%') => 1,
            _ => c.len_utf8(),
        };
        if matches!(placeholder, Some('p' | 'f' | '%')) {
            chars.next();
        }
    }
    bytes
}

/// What a command holds that only a shell understands.
pub(super) fn shell_syntax(command: &str) -> Option<&'static str> {
    const SYNTAX: [&str; 12] = ["&&", "||", "|", ";", "&", ">", "<", "$", "`", "'", "\"", "*"];
    SYNTAX.into_iter().find(|syntax| command.contains(syntax))
}

/// A word that a shell and the server's placeholders leave as it is.
pub(super) fn shell_word(text: &str) -> String {
    let text = text.replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%_-+=./:@,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A line of a configuration file (guc-file.l reads `''` and backslashes).
pub(super) fn conf_line(name: &str, value: &str) -> String {
    format!("{name} = '{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// The same as a statement.
pub(super) fn sql_line(name: &str, value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if value.contains('\\') {
        return format!("ALTER SYSTEM SET {name} = E'{}';", quoted.replace('\\', "\\\\"));
    }
    format!("ALTER SYSTEM SET {name} = '{quoted}';")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(words("a 'b c' \"d e\"f g\\ h ''"), ["a", "b c", "d ef", "g h", ""]);
        assert_eq!(words("  "), [""; 0]);
        assert_eq!(words("'open"), ["open"]);
    }

    #[test]
    fn the_repository_is_found_however_the_flag_is_written() {
        for flag in ["--repo /a", "--repo=/a", "-r /a", "-r/a", "--repo file:///a", "-r /b -r '/a'"] {
            let command = format!("walkeep archive %p {flag}");
            assert_eq!(repository_of(&command).as_deref(), Some("/a"), "{flag}");
        }
        assert_eq!(repository_of("walkeep archive %p"), None);
        assert_eq!(repository_of("walkeep archive %p --repo"), None);
    }

    #[test]
    fn a_command_is_as_long_as_its_longest_expansion() {
        assert_eq!(expanded_bytes("a %f", "pg_wal"), 2 + 40);
        assert_eq!(expanded_bytes("a %p %% %x %", "pg_wal"), 2 + 47 + 3 + 3 + 1);
    }

    #[test]
    fn lines_are_quoted_for_where_they_stand() {
        assert_eq!(shell_word("/archive"), "/archive");
        assert_eq!(shell_word("/my archive/50%"), "'/my archive/50%%'");
        assert_eq!(conf_line("a", r"x 'y' \z"), r"a = 'x ''y'' \\z'");
        assert_eq!(sql_line("a", "x 'y'"), "ALTER SYSTEM SET a = 'x ''y''';");
        assert_eq!(sql_line("a", r"\"), r"ALTER SYSTEM SET a = E'\\';");
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_one_word_with_the_same_text(text in "[^%\\p{C}]{0,30}") {
            prop_assert_eq!(words(&shell_word(&text)), vec![text]);
        }

        #[test]
        fn no_text_panics(text in "(?s).{0,60}") {
            let _ = (words(&text), repository_of(&text), expanded_bytes(&text, "w"), shell_syntax(&text));
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated_text;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_command_what_is_read_of_it_stands_in_it(
                text in mutated_text(&[
                    "walkeep archive %p --repo '/a b' --compress zstd:3",
                    "test ! -f /archive/%f && cp %p /archive/%f",
                    "/bin/sh -c \"gzip < %p > '/a/%f.gz'\" ; true",
                    "pgbackrest --stanza=main archive-push %p",
                ]),
            ) {
                let longest = words(&text).iter().map(String::len).max();
                prop_assert!(longest.unwrap_or_default() <= text.len());
                let _ = (repository_of(&text), expanded_bytes(&text, "w"), shell_syntax(&text));
            }
        }
    }
}
