//! Line charts.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use super::frame::{TEXT, TITLE, color, failed, short};

pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

pub(crate) struct Axis {
    /// The label, with its unit.
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Logarithmic. All values must be above 0.
    Log,
    FromZero,
}

pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const LEGEND_WIDTH: u32 = 150;
/// Approximate number of labels on an axis. More would overlap.
const LABELS: usize = 7;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Lines {
    pub(super) fn draw(&self, area: &Area<'_>) -> anyhow::Result<()> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x = range(points().map(|point| point.0), self.x.scale);
        let y = range(points().map(|point| point.1), self.y.scale);
        match (self.x.scale, self.y.scale) {
            (Scale::Log, Scale::Log) => self.on(area, log(x), log(y)),
            (Scale::Log, Scale::FromZero) => self.on(area, log(x), y),
            (Scale::FromZero, Scale::Log) => self.on(area, x, log(y)),
            (Scale::FromZero, Scale::FromZero) => self.on(area, x, y),
        }
    }

    fn on<X, Y>(
        &self,
        area: &Area<'_>,
        x: impl AsRangedCoord<CoordDescType = X, Value = f64>,
        y: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
    ) -> anyhow::Result<()>
    where
        X: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        // The legend is beside the plot, where no line runs. A single line needs none, because the title names it.
        let legend_width = if self.series.len() > 1 { LEGEND_WIDTH } else { 0 };
        let (area, legend) = area.split_horizontally(area.dim_in_pixel().0 - legend_width);
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, TITLE)
            .margin(14)
            .x_label_area_size(48)
            .y_label_area_size(70)
            .build_cartesian_2d(x, y)
            .map_err(failed)?;
        let label = |value: &f64| short(*value);
        chart
            .configure_mesh()
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .x_label_formatter(&label)
            .y_label_formatter(&label)
            .x_labels(LABELS)
            .y_labels(LABELS)
            .label_style(TEXT)
            .axis_desc_style(TEXT)
            .max_light_lines(0)
            .draw()
            .map_err(failed)?;
        for (n, series) in self.series.iter().enumerate() {
            let style = color(n).stroke_width(2);
            chart.draw_series(LineSeries::new(series.points.iter().copied(), style)).map_err(failed)?;
            // Few points are separate measurements.
            if series.points.len() <= 10 {
                let dots = series.points.iter().map(|point| Circle::new(*point, 3, color(n).filled()));
                chart.draw_series(dots).map_err(failed)?;
            }
            if legend_width > 0 {
                let y = 60 + 24 * n as i32;
                legend.draw(&PathElement::new([(0, y), (20, y)], style)).map_err(failed)?;
                legend.draw(&Text::new(series.name.as_str(), (26, y - 7), TEXT)).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// A logarithmic axis with labels at round figures. By default it has them only at powers of ten, or has too many.
fn log(
    range: Range<f64>,
) -> impl AsRangedCoord<CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>, Value = f64> {
    let labels = round_figures(&range);
    range.log_scale().with_key_points(labels)
}

fn round_figures(range: &Range<f64>) -> Vec<f64> {
    let steps: &[f64] = if range.end / range.start > 1e3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let decades = range.start.log10().floor() as i32..=range.end.log10().ceil() as i32;
    let figures = decades.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)));
    figures.filter(|figure| range.contains(figure)).collect()
}

/// The range of an axis: all values and a small margin.
fn range(values: impl Iterator<Item = f64>, scale: Scale) -> Range<f64> {
    let (low, high) =
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
    match scale {
        Scale::Log => low / 1.15..high * 1.15,
        Scale::FromZero => 0.0..high * 1.05,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_range_has_labels_at_powers_of_ten() {
        assert_eq!(round_figures(&(0.5..3_000.0)), [1.0, 10.0, 100.0, 1_000.0]);
        assert_eq!(round_figures(&(0.9..30.0)), [1.0, 2.0, 5.0, 10.0, 20.0]);
    }
}
