//! JSON with line breaks. Values are copied as they are, because a payload may have numbers that no type here can hold.

const INDENT: &str = "  ";

/// Valid JSON, laid out as serde's pretty printer does.
pub(crate) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut is_string, mut is_escaped) = (0, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if is_string {
            text.push(character);
            is_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                text.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    text.push(end);
                } else {
                    depth += 1;
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                break_line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(character);
                break_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => {
                text.push(character);
                is_string = character == '"';
            }
        }
    }
    text
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n(INDENT, depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_serde() {
        for json in [
            r#"{"items":[{"a":1,"b":[1,2,{"c":null}]},{}],"empty":[],"text":"a, b: {\"c\\\\\": [1]}"}"#,
            " [ ] ",
            r#""\\""#,
            "[[[]],-1.5e3,true]",
        ] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let keeps_order: String = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(pretty(&value.to_string()), keeps_order);
            assert_eq!(pretty(&pretty(json)), pretty(json));
        }
    }

    #[test]
    fn numbers_are_copied() {
        assert_eq!(
            pretty("{\"n\":123456789012345678901234567890.10}"),
            "{\n  \"n\": 123456789012345678901234567890.10\n}"
        );
    }
}
