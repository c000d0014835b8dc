//! Words of a shell, where a line is printed that somebody pastes.

use std::path::Path;

/// A path as one word.
pub fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_more_than_a_word_of_a_shell() {
        for (path, text) in
            [("/etc/redis/redis.conf", "/etc/redis/redis.conf"), ("/tmp/a b;$(c)'d", r"'/tmp/a b;$(c)'\''d'")]
        {
            assert_eq!(word(Path::new(path)), text);
        }
    }
}
