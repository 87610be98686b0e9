//! A table of figures: contenders down, figures across, each the median [least–most] of its rounds.

use std::fmt;

/// Figures of contenders.
#[derive(Clone, Debug)]
pub struct Table {
    /// What is shown, and with how many digits behind the point.
    heads: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    name: &'static str,
    /// A list of figures a round; none of a round that failed.
    rounds: Vec<Option<Vec<f64>>>,
}

impl Table {
    /// An empty one.
    pub fn new(heads: Vec<(&'static str, usize)>) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a round of a contender.
    pub fn add(&mut self, name: &'static str, figures: Option<Vec<f64>>) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.name == name) {
            row.rounds.push(figures);
        } else {
            self.rows.push(Row { name, rounds: vec![figures] });
        }
    }

    /// A further figure: the one at `column` as a multiple of that of `of` in the same round.
    pub fn add_ratio(&mut self, head: &'static str, column: usize, of: &str) {
        let Some(base) = self.rows.iter().find(|row| row.name == of).cloned() else { return };
        self.heads.push((head, 2));
        for row in &mut self.rows {
            for (own, base) in row.rounds.iter_mut().zip(&base.rounds) {
                if let Some(own) = own {
                    let base = base.as_ref().map_or(f64::NAN, |base| base[column]);
                    own.push(own[column] / base);
                }
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| contender |")?;
        for (head, _) in &self.heads {
            write!(f, " {head} |")?;
        }
        write!(f, " rounds |\n|---|{}---:|", "---:|".repeat(self.heads.len()))?;
        for row in &self.rows {
            let good: Vec<&Vec<f64>> = row.rounds.iter().flatten().collect();
            write!(f, "\n| {} |", row.name)?;
            for (column, (_, digits)) in self.heads.iter().enumerate() {
                let values = good.iter().map(|figures| figures[column]);
                write!(f, " {} |", spread(values.filter(|v| v.is_finite()).collect(), *digits))?;
            }
            write!(f, " {}/{} |", good.len(), row.rounds.len())?;
        }
        Ok(())
    }
}

fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let Some((least, most)) = values.first().zip(values.last()) else { return "—".to_owned() };
    let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    let middle = f64::midpoint(low, high);
    if values.len() == 1 {
        return format!("{middle:.digits$}");
    }
    format!("{middle:.digits$} [{least:.digits$}–{most:.digits$}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_median_and_the_bounds() {
        let mut table = Table::new(vec![("p99 ms", 1)]);
        for (a, b) in [(1.0, 2.0), (3.0, 9.0), (2.0, 4.0)] {
            table.add("a", Some(vec![a]));
            table.add("b", Some(vec![b]));
        }
        table.add("a", None);
        table.add_ratio("× a", 0, "a");
        let expected = "| contender | p99 ms | × a | rounds |\n|---|---:|---:|---:|\n\
                        | a | 2.0 [1.0–3.0] | 1.00 [1.00–1.00] | 3/4 |\n\
                        | b | 4.0 [2.0–9.0] | 2.00 [2.00–3.00] | 3/3 |";
        assert_eq!(table.to_string(), expected);
    }
}
