//! An assignment: one line `name = value` of a configuration file, as the servers' scanner takes it apart
//! (guc-file.l, the same from 9.2 to 18).

/// A name and its value; the value is bytes, for it may be a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct Assignment {
    /// In lower case: the servers compare names without case (`guc_name_compare`).
    pub name: String,
    pub value: Vec<u8>,
}

/// Where a line stops being one that a server understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cluster) struct SyntaxError {
    /// The text that does not fit; empty at the end of the line.
    pub near: String,
}

/// Every line that says something, by its number. No token of the grammar goes over the end of a line.
pub(in crate::cluster) fn lines(text: &[u8]) -> impl Iterator<Item = (u32, Result<Assignment, SyntaxError>)> {
    let numbered = (1_u32..).zip(text.split(|byte| *byte == b'\n'));
    numbered.filter_map(|(number, line)| parse(line).map(|parsed| (number, parsed)))
}

/// `None` for an empty line and a comment.
fn parse(line: &[u8]) -> Option<Result<Assignment, SyntaxError>> {
    let mut tokens = Tokens { rest: line };
    let name = tokens.next()?;
    Some(assignment(name, &mut tokens))
}

fn assignment(name: Token<'_>, tokens: &mut Tokens<'_>) -> Result<Assignment, SyntaxError> {
    if !matches!(name.kind, Kind::Id | Kind::QualifiedId) {
        return Err(near(Some(name)));
    }
    let mut value = tokens.next();
    if value.is_some_and(|token| token.kind == Kind::Equals) {
        value = tokens.next();
    }
    let value = match value {
        Some(Token { kind: Kind::Quoted, text }) => unquoted(text),
        Some(Token { kind: Kind::Id | Kind::Unquoted | Kind::Number, text }) => text.to_vec(),
        other => return Err(near(other)),
    };
    match tokens.next() {
        None => Ok(Assignment { name: String::from_utf8_lossy(name.text).to_ascii_lowercase(), value }),
        surplus => Err(near(surplus)),
    }
}

/// Text of a file that is repeated in a message is this long at most.
const MOST_NEAR_BYTES: usize = 40;

fn near(token: Option<Token<'_>>) -> SyntaxError {
    let text = token.map(|token| token.text).unwrap_or_default();
    let shown = text.get(..MOST_NEAR_BYTES).unwrap_or(text);
    SyntaxError { near: String::from_utf8_lossy(shown).into_owned() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Id,
    QualifiedId,
    Quoted,
    Unquoted,
    Number,
    Equals,
    Unknown,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a [u8],
}

/// The tokens of one line, without white space and comment.
struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let blank = self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        let rest = self.rest.get(blank..)?;
        if matches!(rest.first()?, b'#') {
            self.rest = &[];
            return None;
        }
        let (kind, length) = longest(rest);
        let (text, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(Token { kind, text })
    }
}

/// The longest token at the start of a text, and among equals the one whose rule stands first.
fn longest(text: &[u8]) -> (Kind, usize) {
    let rules = [
        (Kind::Id, id(text)),
        (Kind::QualifiedId, qualified_id(text)),
        (Kind::Quoted, quoted(text)),
        (Kind::Unquoted, unquoted_string(text)),
        (Kind::Number, integer(text)),
        (Kind::Number, real(text)),
        (Kind::Equals, usize::from(text.first() == Some(&b'='))),
    ];
    let mut best = (Kind::Unknown, 1);
    let mut best_length = 0;
    for (kind, length) in rules {
        if length > best_length {
            best = (kind, length);
            best_length = length;
        }
    }
    best
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_letter_or_digit(byte: u8) -> bool {
    is_letter(byte) || byte.is_ascii_digit()
}

/// How many bytes from an offset on are of a class.
fn run(text: &[u8], from: usize, class: impl Fn(u8) -> bool) -> usize {
    text.iter().skip(from).take_while(|byte| class(**byte)).count()
}

fn id(text: &[u8]) -> usize {
    if text.first().is_some_and(|byte| is_letter(*byte)) { run(text, 0, is_letter_or_digit) } else { 0 }
}

/// Two names with one dot: what an extension's settings are called.
fn qualified_id(text: &[u8]) -> usize {
    let first = id(text);
    let after_dot = text.get(first..).and_then(|rest| rest.strip_prefix(b"."));
    let second = after_dot.map_or(0, id);
    if first > 0 && second > 0 { first + 1 + second } else { 0 }
}

fn unquoted_string(text: &[u8]) -> usize {
    let goes_on = |byte| is_letter_or_digit(byte) || b"-._:/".contains(&byte);
    if id(text) > 0 { run(text, 0, goes_on) } else { 0 }
}

fn sign(text: &[u8]) -> usize {
    usize::from(matches!(text.first(), Some(b'-' | b'+')))
}

/// With a unit of letters behind the digits.
fn integer(text: &[u8]) -> usize {
    let sign = sign(text);
    let decimal = run(text, sign, |byte| byte.is_ascii_digit());
    let is_hex = text.get(sign..).is_some_and(|rest| rest.starts_with(b"0x"));
    let hex = if is_hex { run(text, sign + 2, |byte| byte.is_ascii_hexdigit()) } else { 0 };
    let digits = if hex > 0 { 2 + hex } else { decimal };
    if digits == 0 { 0 } else { sign + digits + run(text, sign + digits, |byte| byte.is_ascii_alphabetic()) }
}

/// With a dot, and perhaps an exponent, but no unit.
fn real(text: &[u8]) -> usize {
    let whole = sign(text);
    let dot = whole + run(text, whole, |byte| byte.is_ascii_digit());
    if text.get(dot) != Some(&b'.') {
        return 0;
    }
    let mantissa = dot + 1 + run(text, dot + 1, |byte| byte.is_ascii_digit());
    mantissa + exponent(text.get(mantissa..).unwrap_or_default())
}

fn exponent(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'e' | b'E')) {
        return 0;
    }
    let digits_from = 1 + text.get(1..).map_or(0, sign);
    let digits = run(text, digits_from, |byte| byte.is_ascii_digit());
    if digits > 0 { digits_from + digits } else { 0 }
}

/// Up to the last quote that can end it: a quote that is doubled or behind a backslash does not.
fn quoted(text: &[u8]) -> usize {
    if text.first() != Some(&b'\'') {
        return 0;
    }
    let (mut at, mut ended) = (1, 0);
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'\\' if text.get(at + 1).is_some() => 2,
            b'\\' => break,
            b'\'' => {
                ended = at + 1;
                if text.get(at + 1) != Some(&b'\'') {
                    break;
                }
                2
            }
            _ => 1,
        };
    }
    ended
}

/// What a quoted token says (`GUC_scanstr`, now `DeescapeQuotedString`). The server's strings end at a NUL.
fn unquoted(token: &[u8]) -> Vec<u8> {
    let inner = token.strip_prefix(b"'").and_then(|rest| rest.strip_suffix(b"'")).unwrap_or(token);
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((byte, length)) = first_char(rest) {
        value.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    if let Some(nul) = value.iter().position(|byte| *byte == 0) {
        value.truncate(nul);
    }
    value
}

/// One character of a quoted text and how many bytes stand for it.
fn first_char(text: &[u8]) -> Option<(u8, usize)> {
    Some(match text {
        [b'\\', b'b', ..] => (0x08, 2),
        [b'\\', b'f', ..] => (0x0C, 2),
        [b'\\', b'n', ..] => (b'\n', 2),
        [b'\\', b'r', ..] => (b'\r', 2),
        [b'\\', b't', ..] => (b'\t', 2),
        [b'\\', b'0'..=b'7', ..] => octal(text),
        [b'\\', other, ..] => (*other, 2),
        [b'\'', b'\'', ..] => (b'\'', 2),
        [byte, ..] => (*byte, 1),
        [] => return None,
    })
}

/// Up to three octal digits behind a backslash; what does not fit into a byte is cut, as C does it.
fn octal(text: &[u8]) -> (u8, usize) {
    let digits = text.iter().skip(1).take(3).take_while(|byte| matches!(byte, b'0'..=b'7'));
    let fold = |(value, length): (u8, usize), digit: &u8| ((value << 3) | (digit & 7), length + 1);
    digits.fold((0, 1), fold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Option<Result<(String, String), String>> {
        let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
        let mut found = lines(line.as_bytes());
        let parsed = found.next().map(|(_, parsed)| parsed);
        assert!(found.next().is_none());
        parsed.map(|parsed| parsed.map(|set| (set.name, text(set.value))).map_err(|error| error.near))
    }

    #[track_caller]
    fn says(line: &str, name: &str, value: &str) {
        assert_eq!(one(line), Some(Ok((name.to_owned(), value.to_owned()))), "{line}");
    }

    #[track_caller]
    fn stumbles(line: &str, near: &str) {
        assert_eq!(one(line), Some(Err(near.to_owned())), "{line}");
    }

    #[test]
    fn names_and_values_are_told_apart_as_the_server_does() {
        for line in ["a=b", "a = b", "a b", "\ta\t=\tb # c", "A=b#c", "a = b\r", "a='b'", "a'b'", "a = 'b'#"]
        {
            says(line, "a", "b");
        }
        says("my_ext.level = on", "my_ext.level", "on");
        says("ÄB = 1", "Äb", "1");
        says("a = pg-1.b:/c", "a", "pg-1.b:/c");
        says("a = replica", "a", "replica");
    }

    #[test]
    fn numbers_are_values_with_their_units() {
        for number in ["1", "-1", "+1", "16MB", "0x1F", "0x1FkB", "1.5", ".5", "5.", "-1.5e-3", "1.e5", "."] {
            says(&format!("a = {number}"), "a", number);
        }
        stumbles("a = 1.5MB", "MB");
        stumbles("a = 16 MB", "MB");
        stumbles("a = 1.5e", "e");
        stumbles("a = -", "-");
        stumbles("a = 127.0.0.1", ".0");
    }

    #[test]
    fn quoted_values_lose_their_quotes_and_escapes() {
        says("a = ''", "a", "");
        says("a = 'it''s'", "a", "it's");
        says(r"a = 'it\'s'", "a", "it's");
        says("a = ''''", "a", "'");
        says(r"a = 'x\b\f\n\r\t\\\q'", "a", "x\u{8}\u{c}\n\r\t\\q");
        says(r"a = '\101\1018\7z'", "a", "AA8\u{7}z");
        says(r"a = 'cut\0here'", "a", "cut");
        says("a = 'cp %p \"/x/%f\" # no comment'", "a", "cp %p \"/x/%f\" # no comment");
        says("a = 'b' # 'c'", "a", "b");
        assert_eq!(octal(br"\777"), (0xFF, 4));
    }

    #[test]
    fn a_line_that_says_nothing_is_none() {
        for line in ["", "   ", "\t\r", "#", "  # a = b", "#a='"] {
            assert_eq!(one(line), None, "{line}");
        }
    }

    #[test]
    fn what_the_server_stumbles_over_is_named() {
        stumbles("a", "");
        stumbles("a =", "");
        stumbles("a = = b", "=");
        stumbles("a = b c", "c");
        stumbles("a = 'b", "'");
        stumbles(r"a = 'b\'", "'");
        stumbles(r"a = 'b\", "'");
        stumbles("a = 'b''c", "'");
        stumbles("a = 'b' 'c'", "'c'");
        stumbles("'a' = b", "'a'");
        stumbles("1a = b", "1a");
        stumbles("a.b.c = d", "a.b.c");
        stumbles("a. = d", "a.");
        stumbles("include es_rep.conf", "es_rep.conf");
        stumbles("a-b = c", "a-b");
        stumbles("a = /x", "/");
        stumbles("a = \u{b}b", "\u{b}");
        stumbles("<<<<<<< HEAD", "<");
        stumbles(&"1".repeat(5000), &"1".repeat(40));
    }

    #[test]
    fn lines_are_counted_through_those_that_say_nothing() {
        let text = b"a=1\n\n# c\nb=2\r\n?\nc=3";
        let found: Vec<(u32, bool)> = lines(text).map(|(number, line)| (number, line.is_ok())).collect();
        assert_eq!(found, [(1, true), (4, true), (5, false), (6, true)]);
    }

    #[test]
    fn bytes_that_are_no_text_stay_what_they_are() {
        let (number, set) = lines(b"\n\xFF\xFE = '\xC3(\x00'\n").next().unwrap();
        assert_eq!((number, set.unwrap().value), (2, b"\xC3(".to_vec()));
    }

    /// Quotes a value as ALTER SYSTEM does (`escape_single_quotes_ascii`).
    fn quote(value: &str) -> String {
        format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
    }

    proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = lines(&text).count();
        }

        #[test]
        fn no_line_of_the_grammars_own_characters_panics(text in r"[a'\\0-9x.=# \n+e-]{0,60}") {
            let _ = lines(text.as_bytes()).count();
        }

        #[test]
        fn what_alter_system_quotes_comes_back(value in r"[^\n\x00]{0,60}") {
            let text = format!("a = {}", quote(&value));
            let (_, set) = lines(text.as_bytes()).next().unwrap();
            prop_assert_eq!(set.unwrap().value, value.into_bytes());
        }
    }

    mod fuzz {
        use super::*;
        use crate::wal::fixtures::mutated;

        proptest! {
            #[test]
            fn whatever_becomes_of_a_configuration_no_value_is_longer_than_its_line(
                text in mutated(vec![
                    b"# server\narchive_mode = on\narchive_command = 'walkeep archive %p --repo ''/a b'' '\n".to_vec(),
                    b"include_if_exists 'es_rep.conf'\ninclude_dir = 'conf.d'\nwal_level=replica\n".to_vec(),
                    b"shared_buffers = 128MB\nmy.option = 'a\\'b\\n\\101'\nport 54321\n".to_vec(),
                ]),
            ) {
                let rows: Vec<_> = text.split(|byte| *byte == b'\n').collect();
                for (number, set) in lines(&text) {
                    let line = rows[usize::try_from(number).unwrap() - 1];
                    match set {
                        Ok(set) => prop_assert!(set.value.len() <= line.len()),
                        Err(error) => prop_assert!(error.near.len() <= 3 * MOST_NEAR_BYTES),
                    }
                }
            }
        }
    }
}
