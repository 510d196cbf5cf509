//! Plots as SVG files.

mod bars;
mod frame;
mod lines;

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;

pub(crate) use bars::Bars;
pub(crate) use lines::{Axis, Lines, Scale, Series};

pub(crate) struct Plot {
    /// The name of its file, without the extension.
    pub(crate) name: &'static str,
    pub(crate) chart: Chart,
}

pub(crate) enum Chart {
    /// Panels side by side.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, factor: f64) -> Series {
        let points = [1e4, 1e5, 3e5, 1e6].map(|depth: f64| (depth, factor * depth.ln()));
        Series { name: name.to_owned(), points: points.into() }
    }

    #[test]
    fn labels_are_text_and_name_everything_in_the_plot() {
        let folder = std::env::temp_dir().join(format!("atode-bench-plots-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let axis = |label: &str, scale| Axis { label: label.to_owned(), scale };
        let rates = Lines {
            title: "Rates".to_owned(),
            x: axis("jobs", Scale::Log),
            y: axis("jobs/s", Scale::FromZero),
            series: vec![series("enqueue", 8_000.0), series("drain", 6_000.0)],
        };
        let bars = vec![("atode".to_owned(), 300.0), ("theirs".to_owned(), 600.0)];
        let bars = Bars { title: "Memory".to_owned(), unit: "bytes", figures: bars };
        for (name, chart, words) in [
            ("lines", Chart::Lines(vec![rates]), ["Rates", "jobs/s", "enqueue", "drain", "100 k"]),
            ("bars", Chart::Bars(bars), ["Memory", "bytes", "atode", "theirs", "600"]),
        ] {
            let path = folder.join(name).with_extension("svg");
            Plot { name, chart }.write(&path).expect("a plot");
            let svg = std::fs::read_to_string(&path).expect("a file");
            for word in words {
                assert!(svg.contains(word), "{word} in {name}");
            }
        }
        std::fs::remove_dir_all(folder).expect("its end");
    }
}
