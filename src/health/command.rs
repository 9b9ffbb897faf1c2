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

/// The simple commands of a line of shell, each with what stands before it; what is quoted is left as it is.
fn simple_commands(line: &str) -> Vec<(&'static str, String)> {
    let mut commands = vec![("", String::new())];
    let (mut quote, mut before) = (None, ' ');
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let ends = ["&&", "||", "|", ";", "&", "\n"].into_iter().find(|operator| rest.starts_with(operator));
        // `2>&1` and `&>` are redirections.
        let redirects = ends == Some("&") && (matches!(before, '>' | '<') || rest.starts_with("&>"));
        let operator = ends.filter(|_| quote.is_none() && !redirects && before != '\\');
        let taken = operator.map_or(c.len_utf8(), str::len);
        match (operator, quote) {
            (Some(operator), _) => commands.push((operator, String::new())),
            (None, Some(open)) if c == open => quote = None,
            (None, None) if matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
        if let (None, Some((_, text))) = (operator, commands.last_mut()) {
            text.push(c);
        }
        before = c;
        rest = rest.get(taken..).unwrap_or_default();
    }
    commands
}

/// What makes a shell answer success where the first command of a line failed; `None` where nothing does, as far as that
/// is plain.
pub(super) fn hides_failure(line: &str) -> Option<String> {
    let commands = simple_commands(line.trim().trim_end_matches(';'));
    let fails = |text: &str| match *words(text.trim_matches([' ', '(', ')', '{', '}']))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
    {
        ["false", ..] => true,
        ["exit", code] => code != "0",
        ["exit"] => true,
        _ => false,
    };
    let succeeds = |text: &str| {
        let words = words(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        matches!(*words, [] | [":" | "true" | "/bin/true" | "/usr/bin/true", ..] | ["exit", "0"])
    };
    let ((_, first), others) = commands.split_first()?;
    let (operator, last) = others.last()?;
    let hides = if is_walkeeps(first) {
        // Another call where the first failed is a second try, and its answer counts.
        let passes_on =
            |(operator, text): &(&str, String)| fails(text) || (*operator == "||" && is_walkeeps(text));
        others.iter().any(|(operator, _)| *operator != "&&") && !others.iter().any(passes_on)
    } else {
        *operator != "&&" && succeeds(last)
    };
    hides.then(|| format!("{operator} {}", last.trim()).trim_end().to_owned())
}

/// Whether a command calls walkeep.
pub(super) fn is_walkeeps(command: &str) -> bool {
    program_of(command).is_some_and(|name| name.rsplit('/').next() == Some("walkeep"))
}

/// Whether a call of walkeep is one of `archive` with the file's path, which may be put together from its name.
pub(super) fn archives_a_path(command: &str) -> bool {
    let words = words(command);
    let is_path = |word: &String| word.contains("%p") || word.contains("/%f");
    words.iter().any(|word| word == "archive") && words.iter().any(is_path)
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

    #[test]
    fn what_hides_a_failure_is_found_and_what_passes_it_on_is_not() {
        for (line, hidden) in [
            ("walkeep archive %p || true", Some("|| true")),
            ("/usr/bin/walkeep archive %p --repo '/a|b' 2>&1 | logger -t wal", Some("| logger -t wal")),
            ("walkeep archive %p; true", Some("; true")),
            ("walkeep archive %p ; exit 0;", Some("; exit 0")),
            ("walkeep archive %p &", Some("&")),
            ("walkeep archive %p\necho done", Some("echo done")),
            ("test ! -f /a/%f && cp %p /a/%f || true", Some("|| true")),
            ("rsync -a %p host:/a/ ; exit 0", Some("; exit 0")),
            ("walkeep archive %p --repo /a", None),
            ("walkeep archive %p --repo /a;", None),
            ("walkeep archive %p 2>&1 >>/var/log/wal", None),
            ("walkeep archive %p >/dev/null 2>/dev/null", None),
            ("walkeep archive %p '; true'", None),
            ("walkeep archive %p && touch /tmp/last", None),
            ("walkeep archive %p || { logger failed; exit 1; }", None),
            ("walkeep archive %p || exit 1", None),
            ("walkeep archive %p || (logger failed; false)", None),
            ("walkeep archive %p --repo /a || walkeep archive %p --repo /b", None),
            (
                "walkeep archive %p --repo /a; walkeep archive %p --repo /b",
                Some("; walkeep archive %p --repo /b"),
            ),
            ("walkeep archive %p; exit $?", None),
            ("test ! -f /a/%f && cp %p /a/%f", None),
            ("gzip < %p | ssh host 'cat > /a/%f.gz'", None),
            ("cp %p /a/%f || exit", None),
        ] {
            let found = hides_failure(line).map(|found| found.trim().to_owned());
            assert_eq!(found.as_deref(), hidden, "{line}");
        }
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
                prop_assert!(hides_failure(&text).is_none_or(|found| found.len() <= text.len() + 1));
            }
        }
    }
}
