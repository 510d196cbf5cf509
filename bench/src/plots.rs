//! The plots, as SVG.

mod bars;
mod frame;
mod lines;

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

pub(crate) use bars::Bars;
pub(crate) use lines::{Axis, Lines, Scale, Series};

pub(crate) struct Plot {
    /// Of its file.
    pub(crate) name: &'static str,
    pub(crate) chart: Chart,
}

pub(crate) enum Chart {
    /// Side by side.
    Lines(Vec<Lines>),
    Bars(Bars),
}

impl Plot {
    pub(crate) fn title(&self) -> String {
        match &self.chart {
            Chart::Lines(all) => all.iter().map(|lines| lines.title.as_str()).collect::<Vec<_>>().join("; "),
            Chart::Bars(bars) => bars.title.clone(),
        }
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let panels = match &self.chart {
            Chart::Lines(all) => all.len(),
            Chart::Bars(_) => 1,
        };
        let area = SVGBackend::new(path, (frame::WIDTH * panels as u32, frame::HEIGHT)).into_drawing_area();
        area.fill(&WHITE)?;
        match &self.chart {
            Chart::Lines(all) => {
                for (area, lines) in area.split_evenly((1, panels)).iter().zip(all) {
                    lines.draw(area)?;
                }
            }
            Chart::Bars(bars) => bars.draw(&area)?,
        }
        area.present().with_context(|| format!("can't write {}", path.display()))
    }
}
