//! The common look of all plots.

use plotters::prelude::*;

pub(super) const WIDTH: u32 = 820;
pub(super) const HEIGHT: u32 = 460;
pub(super) const TITLE: (&str, u32) = ("sans-serif", 20);
pub(super) const TEXT: (&str, u32) = ("sans-serif", 14);

/// Colors that color-blind people can distinguish (Okabe and Ito, <https://jfly.uni-koeln.de/color/>). The first one
/// is that of atode.
const COLORS: [RGBColor; 5] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(90, 90, 90),
];

pub(super) fn color(of: usize) -> RGBColor {
    COLORS[of % COLORS.len()]
}

/// An error without a lifetime: the errors of plotters borrow the drawing area.
pub(super) fn failed(error: impl std::error::Error) -> anyhow::Error {
    anyhow::anyhow!("a plot can't be drawn: {error}")
}

/// A figure that fits on an axis: 1,234,567 becomes 1.2 M.
pub(super) fn short(figure: f64) -> String {
    let (figure, unit) = match figure.abs() {
        large if large >= 1e6 => (figure / 1e6, " M"),
        large if large >= 1e3 => (figure / 1e3, " k"),
        _ => (figure, ""),
    };
    let text = format!("{figure:.1}");
    format!("{}{unit}", text.strip_suffix(".0").unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_figures_are_short() {
        let texts = [0.1, 10.0, 1_500.0, 200_000.0, 1e6].map(short);
        assert_eq!(texts, ["0.1", "10", "1.5 k", "200 k", "1 M"]);
    }
}
