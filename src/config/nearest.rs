//! The nearest known name to one that was mistyped.

/// The candidate with the smallest edit distance to `name`, if it is small: at most a third of the name's length, and 1
/// at least. Case makes no distance, nor do underscores for dashes.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    let fold = |name: &str| name.to_lowercase().replace('_', "-");
    let folded = fold(name);
    let ranked = candidates.into_iter().map(|candidate| (edit_distance(&folded, &fold(candidate)), candidate));
    ranked.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// Levenshtein distance in characters, with one row of the matrix.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_insertions_deletions_and_substitutions() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }

    #[test]
    fn a_typing_error_finds_its_key() {
        assert_eq!(nearest("tls-cert-fil", ["tls-key-file", "tls-cert-file"]), Some("tls-cert-file"));
        assert_eq!(nearest("TLS_CERT_FILE", ["tls-key-file", "tls-cert-file"]), Some("tls-cert-file"));
        assert_eq!(nearest("shopApp", ["ops", "Shop_app", "shop"]), Some("Shop_app"));
    }

    #[test]
    fn a_name_far_from_all_finds_none() {
        assert_eq!(nearest("bind", ["listen", "upstream"]), None);
    }
}
