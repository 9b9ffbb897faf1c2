//! Markup, which only this program's own text becomes: whatever comes from elsewhere is escaped on its way in.

/// A piece of a page.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// Adds markup: text of this program, never anybody else's.
    pub fn mark(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, in an element or in a quoted attribute. What a browser would not show, or would take for an order to
    /// turn the text around, is shown as what it is: a character that does not belong there.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if c.is_control() || turns_text(c) => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.push_str(&number.to_string());
        self
    }

    /// Adds a list, one line an item, indented as on a screen; nothing where there is none.
    pub fn list(&mut self, lines: &[String]) -> &mut Self {
        if lines.is_empty() {
            return self;
        }
        self.mark("<ul>");
        for line in lines {
            let is_below = line.starts_with(' ');
            self.mark(if is_below { "<li class=\"below\">" } else { "<li>" });
            self.text(line.trim_start()).mark("</li>\n");
        }
        self.mark("</ul>\n")
    }

    pub fn into_text(self) -> String {
        self.0
    }
}

/// Marks and overrides of the direction of text (Unicode Standard Annex 9).
const fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_text()
    }

    #[test]
    fn foreign_text_becomes_no_markup() {
        assert_eq!(
            escaped("<script>\"a\" & 'b'</script>"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;"
        );
        assert_eq!(escaped("a\0b\u{202e}c\u{1b}[m"), "a\u{fffd}b\u{fffd}c\u{fffd}[m");
    }

    proptest! {
        #[test]
        fn no_text_can_end_what_it_stands_in(text in any::<String>()) {
            let escaped = escaped(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
            prop_assert!(!escaped.chars().any(char::is_control));
        }
    }
}
