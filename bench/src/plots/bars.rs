//! Bar charts. Each bar is labeled with its figure.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::frame::{TEXT, TITLE, color, failed, short};

pub(crate) struct Bars {
    pub(crate) title: String,
    /// The unit of the figures.
    pub(crate) unit: &'static str,
    /// Names and figures, atode first.
    pub(crate) figures: Vec<(String, f64)>,
}

impl Bars {
    pub(super) fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> anyhow::Result<()> {
        let highest = self.figures.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
        let names =
            |n: &f64| self.figures.get(*n as usize).map_or_else(String::new, |(name, _)| name.clone());
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, TITLE)
            .margin(14)
            .x_label_area_size(34)
            .y_label_area_size(70)
            .build_cartesian_2d(-0.5..self.figures.len() as f64 - 0.5, 0.0..highest * 1.15)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(self.figures.len())
            .x_label_formatter(&names)
            .y_desc(self.unit)
            .y_label_formatter(&|bytes| short(*bytes))
            .label_style(TEXT)
            .axis_desc_style(TEXT)
            .max_light_lines(0)
            .draw()
            .map_err(failed)?;
        let above = TEXT.into_text_style(area).pos(Pos::new(HPos::Center, VPos::Bottom));
        for (n, (_, figure)) in self.figures.iter().enumerate() {
            let at = n as f64;
            let bar = Rectangle::new([(at - 0.3, 0.0), (at + 0.3, *figure)], color(n.min(1)).filled());
            let text = Text::new(format!("{figure:.0}"), (at, figure + highest * 0.02), above.clone());
            chart.draw_series([bar]).map_err(failed)?;
            chart.draw_series([text]).map_err(failed)?;
        }
        Ok(())
    }
}
