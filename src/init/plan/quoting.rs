//! Words of redis.conf and of TOML.

/// As one word of a redis.conf, or of a line for redis-cli [sdssplitargs].
pub(super) fn redis_word(bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\#".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    let quoted: String = bytes
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(*byte)),
            b' ' | b'!'..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("\"{quoted}\"")
}

/// As a string of TOML, or a key: that of JSON, and DEL as well.
pub(super) fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// As a list of strings of TOML.
pub(super) fn toml_list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| toml_string(&item)).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_redis_is_plain_where_it_can_be() {
        for (bytes, word) in [
            (&b"plain"[..], "plain"),
            (b"", "\"\""),
            (b"a b", "\"a b\""),
            (b"#a", "\"#a\""),
            (b"a\"\\\n\xff", "\"a\\\"\\\\\\x0a\\xff\""),
        ] {
            assert_eq!(redis_word(bytes), word);
        }
    }

    #[test]
    fn what_toml_would_misread_is_quoted() {
        for text in ["shop", "a.b", "\"", "a'b\n", "\u{7f}", "\\", "\u{1b}ä"] {
            let document: toml::Table = format!("{0} = {0}", toml_string(text)).parse().unwrap();
            assert_eq!(document[text].as_str(), Some(text));
        }
    }
}
