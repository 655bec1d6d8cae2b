// Charts as inline SVG: lines, areas, bars and points over two axes, horizontal bars with names, heat maps, and flows. No
// script; colours, fonts and dark mode come from the page's style sheet (classes s0 … s5: a palette that
// survives colour blindness; dashes and shapes differ as well, so a black-and-white print can be read).
#ifndef COHORT_LAUNCH_REPORT_CHART_H_
#define COHORT_LAUNCH_REPORT_CHART_H_

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace cohort {

struct ChartPoint {
  double x = 0, y = 0;  // NaN: a gap
  // Lines and points: a whisker between them; NaN: none.
  double low = std::numeric_limits<double>::quiet_NaN(), high = low;
};

enum class Mark {
  kLine,
  kPoints,
  kLineAndPoints,
  kBars,  // around x, Chart::bar_width wide, from 0
  kSteps  // outline of a histogram: each point is a bin of bar_width around x, filled lightly
};

struct Series {
  std::string name;  // for the legend; one series without a name has none
  Mark mark = Mark::kLine;
  std::vector<ChartPoint> points;
};

struct Axis {
  std::string label;                // with its unit: "time (s)"
  std::optional<double> low, high;  // default: of the data, widened to ticks
  bool whole = false;               // whole numbers only
};

// A straight line that says what to compare with.
struct Rule {
  double at = 0;
  bool vertical = false;
  std::string label;
};

struct Chart {
  std::string title;
  std::string description;  // for those who cannot see it; starts with what is drawn
  Axis x, y;
  std::vector<Series> series;  // at most 6 are told apart
  std::vector<Rule> rules;
  bool diagonal = false;  // y = x
  double bar_width = 1;   // in units of x
};

struct NamedBar {
  std::string name;
  double value = 0;
  std::string text;  // beside the bar: the value with its unit
};
struct NamedBars {
  std::string title;
  std::string description;
  std::vector<NamedBar> bars;
};

// Shares by two names each.
struct HeatMap {
  struct Cell {
    double share = 0;  // 0 to 1
    std::string text;
  };
  std::string title;
  std::string description;
  std::string row_label, column_label;  // what the names are
  std::vector<std::string> rows, columns;
  std::vector<std::vector<Cell>> cells;  // by row; a row may end before the last column
};

// How many went from where to where: ribbons as wide as they are many, from the left to the right.
struct Flows {
  std::string title;
  std::string description;
  std::string left_label, right_label;
  std::vector<std::string> from, to;        // at most 6 of `from` are told apart by colour
  std::vector<std::vector<double>> counts;  // (from, to)
};

// <figure> with caption, SVG and legend. A chart without a finite point says so instead.
std::string RenderChart(const Chart& chart);
std::string RenderBars(const NamedBars& bars);
// These are as large as what they show, and scroll sideways where the screen is smaller.
std::string RenderHeatMap(const HeatMap& map);
std::string RenderFlows(const Flows& flows);

// Ticks at round numbers (1, 2, 2.5, 5 times a power of ten) that cover [low, high], about `count` of them.
std::vector<double> RoundTicks(double low, double high, int count, bool whole = false);

}  // namespace cohort

#endif  // COHORT_LAUNCH_REPORT_CHART_H_
