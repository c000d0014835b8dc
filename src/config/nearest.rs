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

/// How many characters have to be inserted, taken out, replaced or exchanged with their neighbour.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // From the first i characters of `a` to the first j of `b`.
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, far) | (far, 0) => far,
                _ => {
                    let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let least = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let is_exchanged = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if is_exchanged { least.min(table[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_insertions_deletions_substitutions_and_exchanges() {
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
        assert_eq!(edit_distance("clr", "crl"), 1);
        assert_eq!(edit_distance("fiel", "file"), 1);
    }

    #[test]
    fn a_typing_error_finds_its_key() {
        assert_eq!(nearest("tls-cert-fil", ["tls-key-file", "tls-cert-file"]), Some("tls-cert-file"));
        assert_eq!(nearest("tls-clr-file", ["tls-cert-file", "tls-crl-file"]), Some("tls-crl-file"));
        assert_eq!(nearest("TLS_CERT_FILE", ["tls-key-file", "tls-cert-file"]), Some("tls-cert-file"));
        assert_eq!(nearest("shopApp", ["ops", "Shop_app", "shop"]), Some("Shop_app"));
    }

    #[test]
    fn a_name_far_from_all_finds_none() {
        assert_eq!(nearest("bind", ["listen", "upstream"]), None);
    }
}
