//! "did you mean": the nearest of the words that would have been right.

/// Words longer than this are not compared: nobody misspells them by a letter or two.
const CHARS_MAX: usize = 64;

/// `; did you mean "…"` for the nearest of `words`, or nothing where none is near: at most a third of its letters differ.
#[must_use]
pub fn suggestion<'w>(written: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    let nearest = words
        .into_iter()
        .map(|word| (distance(written, word), word))
        .filter(|&(distance, word)| distance <= (word.chars().count() / 3).max(1))
        .min();
    nearest.map_or_else(String::new, |(_, word)| format!("; did you mean {word:?}"))
}

/// How many letters must be put in, left out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(CHARS_MAX).collect(), b.chars().take(CHARS_MAX).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered() {
        let words = ["name", "address", "listen", "playbooks"];
        assert_eq!(suggestion("adress", words), "; did you mean \"address\"");
        assert_eq!(suggestion("nmae", words), "; did you mean \"name\"");
        assert_eq!(suggestion("playbook", words), "; did you mean \"playbooks\"");
        assert_eq!(suggestion("", words), "");
        assert_eq!(suggestion("zebra", words), "");
    }
}
