//! Tables, and figures as text.

use comfy_table::presets;

pub(crate) struct Table {
    pub(crate) title: String,
    table: comfy_table::Table,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(header);
        Table { title: title.into(), table }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.table.add_row(cells.into_iter().collect::<Vec<_>>());
    }

    pub(crate) fn markdown(&self) -> String {
        self.table.to_string()
    }
}

/// The median, or `None` if there is no figure.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// A figure with thousands separators, or a dash if there is none.
pub(crate) fn shown(figure: Option<f64>, digits: usize) -> String {
    let Some(figure) = figure else { return "–".to_owned() };
    let text = format!("{figure:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    let first = usize::from(text.starts_with('-'));
    let mut separated = String::new();
    for (at, digit) in text.char_indices() {
        if at > first && at < whole && (whole - at) % 3 == 0 {
            separated.push(',');
        }
        separated.push(digit);
    }
    separated
}

/// `3 rounds`
pub(crate) fn rounds_of(rounds: usize) -> String {
    format!("{rounds} round{}", if rounds == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let figures = [(0.5, 1), (999.0, 0), (1_234.5, 1), (-1_234_567.0, 0), (-123.0, 0)];
        let texts = figures.map(|(figure, digits)| shown(Some(figure), digits));
        assert_eq!(texts, ["0.5", "999", "1,234.5", "-1,234,567", "-123"]);
        assert_eq!(shown(None, 0), "–");
    }

    #[test]
    fn the_median_is_the_middle_figure_if_there_is_one() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
