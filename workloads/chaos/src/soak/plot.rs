//! The plot of a soak. Nothing is drawn in black or white, so it can be read on light and on dark ground.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::table::Table;
use crate::services::ROLES;

const SIZE: (u32, u32) = (1_080, 1_300);

/// Room on the right for what the lines mean.
const LEGEND: i32 = 185;

const INK: RGBColor = RGBColor(125, 133, 144);
const CUT: RGBColor = RGBColor(191, 135, 0);
const KILL: RGBColor = RGBColor(248, 81, 73);
const COLOURS: [RGBColor; 8] = [
    RGBColor(47, 129, 247),
    RGBColor(46, 160, 67),
    RGBColor(219, 109, 40),
    RGBColor(163, 113, 247),
    RGBColor(219, 97, 162),
    RGBColor(27, 152, 160),
    RGBColor(150, 120, 90),
    INK,
];

const MIB: f64 = 1_048_576.0;

type Drawn<T> = Result<T, Box<dyn Error + Send + Sync>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// One of the diagrams, above each other, with one time for all.
struct Panel {
    title: &'static str,
    unit: &'static str,
    /// Names for readers, and columns.
    lines: Vec<(String, String)>,
    /// What a value is divided by.
    scale: f64,
    /// Of a value its logarithm is shown.
    logarithmic: bool,
}

impl Panel {
    fn new(title: &'static str, unit: &'static str, lines: &[(&str, &str)]) -> Self {
        let owned = |(name, column): &(&str, &str)| ((*name).to_owned(), (*column).to_owned());
        let lines = lines.iter().map(owned).collect();
        Self { title, unit, lines, scale: 1.0, logarithmic: false }
    }

    fn of_services(title: &'static str, unit: &'static str, kind: &str) -> Self {
        let lines = ROLES.map(|role| (role.to_owned(), format!("{kind}_{role}"))).to_vec();
        Self { title, unit, lines, scale: 1.0, logarithmic: false }
    }

    fn all() -> [Self; 6] {
        let rate = Self::new("Orders accepted", "orders a second", &[("orders", "orders_per_second")]);
        let times =
            Self::new("From when an order was due to its end", "ms", &[("p50", "p50_ms"), ("p99", "p99_ms")]);
        let mut processor = Self::of_services("Processor", "% of a core", "cpu");
        processor.lines.push(("broker".to_owned(), "cpu_broker".to_owned()));
        let log = [("event stores", "log_stores"), ("audit, notifications", "log_trail")];
        let kept = [
            ("archive", "archive"),
            ("history", "history"),
            ("checkpoints", "checkpoints"),
            ("snapshots", "snapshots"),
        ];
        let memory = Self::of_services("Memory", "MiB", "rss");
        [
            rate,
            Self { logarithmic: true, ..times },
            Self { scale: MIB, ..memory },
            processor,
            Self { scale: MIB, ..Self::new("Log on the broker's disk", "MiB", &log) },
            Self { scale: MIB, ..Self::new("Beside the log: grows with every order", "MiB", &kept) },
        ]
    }
}

/// A time series that is drawn as it is.
struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The plot as SVG.
pub(super) fn draw(table: &Table) -> Drawn<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let minutes: Vec<f64> = table.column("seconds").iter().map(|second| second / 60.0).collect();
        let last = minutes.last().copied().unwrap_or_default().max(0.1);
        let (marks, panels) = (Marks::of(table, &minutes), Panel::all());
        for (panel, area) in panels.iter().zip(root.split_evenly((panels.len(), 1))) {
            panel.draw(&area, table, &minutes, last, &marks)?;
        }
        root.present()?;
    }
    Ok(svg)
}

/// When something was done.
struct Marks {
    kills: Vec<f64>,
    cuts: Vec<f64>,
}

impl Marks {
    fn of(table: &Table, minutes: &[f64]) -> Self {
        let steps = |name: &str| {
            let counts = table.column(name);
            let before = std::iter::once(0.0).chain(counts.clone());
            let risen = counts.iter().zip(before).zip(minutes).filter(|((now, before), _)| *now > before);
            risen.map(|(_, minute)| *minute).collect()
        };
        Self { kills: steps("kills"), cuts: steps("cuts") }
    }
}

fn text(size: i32) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size)).color(&INK)
}

impl Panel {
    fn lines(&self, table: &Table, minutes: &[f64]) -> Vec<Line> {
        // Where nothing was measured there is no logarithm.
        let there = |(_, value): &(f64, f64)| !self.logarithmic || *value > 0.0;
        let at = |(minute, value): (f64, f64)| {
            let value = value / self.scale;
            (minute, if self.logarithmic { value.max(1.0).log10() } else { value })
        };
        let line = |((name, column), colour): (&(String, String), RGBColor)| Line {
            name: name.clone(),
            colour,
            points: minutes.iter().copied().zip(table.column(column)).filter(there).map(at).collect(),
        };
        self.lines.iter().zip(COLOURS).map(line).collect()
    }

    fn draw(&self, area: &Area<'_>, table: &Table, minutes: &[f64], last: f64, marks: &Marks) -> Drawn<()> {
        let lines = self.lines(table, minutes);
        let most =
            lines.iter().flat_map(|line| &line.points).fold(0.1, |most: f64, (_, value)| most.max(*value));
        let most = if self.logarithmic { most.ceil() } else { most * 1.1 };
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, text(19))
            .margin(8)
            .margin_right(LEGEND)
            .x_label_area_size(34)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..last, 0.0..most)?;
        self.draw_axes(&mut chart)?;
        for minute in &marks.cuts {
            let points = [(*minute, 0.0), (*minute, most)];
            chart.draw_series(DashedLineSeries::new(points, 3, 4, CUT.mix(0.8).stroke_width(1)))?;
        }
        for minute in &marks.kills {
            let points = [(*minute, 0.0), (*minute, most * 0.05)];
            chart.draw_series(LineSeries::new(points, KILL.stroke_width(1)))?;
        }
        for line in &lines {
            chart.draw_series(LineSeries::new(line.points.clone(), line.colour.stroke_width(2)))?;
        }
        legend(area, &lines)
    }

    fn draw_axes(&self, chart: &mut Chart<'_, '_>) -> Drawn<()> {
        let plain = |value: &f64| if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
        let power = |value: &f64| format!("{:.0}", 10f64.powf(*value));
        let y: &dyn Fn(&f64) -> String = if self.logarithmic { &power } else { &plain };
        chart
            .configure_mesh()
            .x_desc("minutes")
            .y_desc(self.unit)
            .x_label_formatter(&|value| format!("{value:.1}").trim_end_matches(".0").to_owned())
            .y_label_formatter(&y)
            .y_labels(5)
            .axis_style(INK)
            .bold_line_style(INK.mix(0.3))
            .light_line_style(TRANSPARENT)
            .label_style(text(15))
            .axis_desc_style(text(15))
            .draw()?;
        Ok(())
    }
}

/// What the lines and marks mean, to the right of them.
fn legend(area: &Area<'_>, lines: &[Line]) -> Drawn<()> {
    let (width, _) = area.dim_in_pixel();
    let left = i32::try_from(width)? - LEGEND + 12;
    let lines = lines.iter().map(|line| (line.name.as_str(), line.colour, 2));
    let all = lines.chain([("the log is cut", CUT, 1), ("a service is killed", KILL, 1)]);
    for ((name, colour, wide), y) in all.zip((34..).step_by(17)) {
        let line = vec![(left, y), (left + 16, y)];
        area.draw(&PathElement::new(line, colour.stroke_width(wide)))?;
        let style = text(15).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name, (left + 22, y), style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_every_line_with_its_unit_and_the_marks() {
        let names = "seconds,orders_per_second,p50_ms,p99_ms,kills,cuts,rss_user,log_stores";
        let mut table = Table::new(names.split(',').map(str::to_owned).collect());
        for row in 0..100 {
            let at = f64::from(row);
            table.push(vec![
                at * 10.0,
                300.0,
                20.0,
                900.0,
                (at / 6.0).floor(),
                (at / 30.0).floor(),
                1e8,
                4e8,
            ]);
        }
        let svg = draw(&table).unwrap();
        let words = [
            "orders a second",
            "MiB",
            "minutes",
            "p99",
            "event stores",
            "the log is cut",
            "a service is killed",
        ];
        for word in words.into_iter().chain(ROLES) {
            assert!(svg.contains(word), "{word}");
        }
        let strokes = |colour: &str| svg.matches(&format!("stroke=\"{colour}\"")).count();
        assert!(strokes("#F85149") >= 6 * 16, "each kill in each panel, and in its legend");
        assert!(strokes("#BF8700") >= 6 * 3, "and each cut");
        assert!(
            !svg.contains("#000000") && !svg.to_lowercase().contains("#ffffff"),
            "it has the reader's ground"
        );
    }

    #[test]
    fn an_empty_run_has_a_plot_too() {
        assert!(draw(&Table::default()).unwrap().starts_with("<svg"));
    }
}
