//! A graph of numbers in text: columns of characters whose height is the value, with a label
//! read downwards below each. The shape is that of LATENCY GRAPH in Redis.

/// Widest graph; more samples go on in another one below.
pub(super) const COLUMNS: usize = 80;
/// Lines of a graph without its labels.
const ROWS: usize = 4;
/// Characters of rising height inside one line.
const STEPS: &[char] = &['_', 'o', '#'];
/// A column's part below its top.
const FILL: char = '|';

/// How long ago something was, in the largest unit that fits.
pub(super) fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Appends the graph of values with their labels.
pub(super) fn draw(out: &mut String, samples: &[(u64, String)]) {
    let values = samples.iter().map(|(value, _)| *value);
    let min = values.clone().min().unwrap_or(0);
    let span = (values.max().unwrap_or(0) - min).max(1);
    for (part, columns) in samples.chunks(COLUMNS).enumerate() {
        if part > 0 {
            out.push('\n');
        }
        let levels = STEPS.len() * ROWS;
        let height = |value: u64| {
            let scaled = u128::from(value - min) * levels as u128 / u128::from(span);
            usize::try_from(scaled).unwrap_or(levels).min(levels - 1)
        };
        for row in (0..ROWS).rev() {
            line(out, columns, |(value, _)| {
                match height(*value).checked_sub(row * STEPS.len()) {
                    None => ' ',
                    Some(step) => STEPS.get(step).copied().unwrap_or(FILL),
                }
            });
        }
        line(out, columns, |_| ' ');
        let longest = columns.iter().map(|(_, label)| label.len()).max();
        for at in 0..longest.unwrap_or(0) {
            line(out, columns, |(_, label)| {
                label
                    .as_bytes()
                    .get(at)
                    .map_or(' ', |byte| char::from(*byte))
            });
        }
    }
}

fn line(out: &mut String, columns: &[(u64, String)], shown: impl Fn(&(u64, String)) -> char) {
    out.extend(columns.iter().map(shown));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_rise_with_the_value() {
        let samples = [(10, 5), (11, 70), (15, 7200), (22, 90_000)]
            .map(|(value, seconds)| (value, age(seconds)));
        let mut graph = String::new();
        draw(&mut graph, &samples);
        assert_eq!(graph, "   #\n   |\n  #|\n_o||\n    \n5121\nsmhd\n");
    }

    #[test]
    fn equal_values_lie_at_the_bottom_and_wide_graphs_are_cut() {
        let samples = vec![(7, String::from("1s")); COLUMNS + 1];
        let mut graph = String::new();
        draw(&mut graph, &samples);
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[3], "_".repeat(COLUMNS));
        assert_eq!((lines.len(), lines[7], lines[11]), (15, "", "_"));
    }
}
