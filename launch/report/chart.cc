#include "launch/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "launch/report/html.h"

namespace cohort {
namespace {

constexpr double kWidth = 310, kHeight = 220;
constexpr double kTop = 26, kBottom = 38, kRight = 14;
constexpr double kCharacter = 6.2;  // about the width of a digit at 11 px
constexpr int kStyles = 6;

bool Finite(const ChartPoint& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return !(low <= high); }
};

std::string TickLabel(double value, double step) {
  if (std::abs(value) < step / 1e6) return "0";
  if (std::abs(value) >= 10'000) return FormatShort(value);
  int decimals = 0;
  for (double unit = step; decimals < 6 && std::abs(unit - std::round(unit)) > 1e-6 * unit; unit *= 10)
    ++decimals;
  return Format("%.*f", decimals, value);
}

// Maps data to the drawing.
struct Frame {
  std::vector<double> x_ticks, y_ticks;
  double x_low, x_high, y_low, y_high, left;
  double X(double x) const { return left + (x - x_low) / (x_high - x_low) * (kWidth - kRight - left); }
  double Y(double y) const {
    return kHeight - kBottom - (y - y_low) / (y_high - y_low) * (kHeight - kTop - kBottom);
  }
};

Frame FrameOf(const Chart& chart, Extent x, Extent y) {
  for (const Series& series : chart.series) {
    const bool bars = series.mark == Mark::kBars || series.mark == Mark::kSteps;
    if (!bars) continue;
    y.Add(0);
    for (const ChartPoint& point : series.points) {
      if (!Finite(point)) continue;
      x.Add(point.x - chart.bar_width / 2);
      x.Add(point.x + chart.bar_width / 2);
    }
  }
  for (const Rule& rule : chart.rules) (rule.vertical ? x : y).Add(rule.at);
  Frame frame;
  auto cover = [](const Axis& axis, Extent extent, int count, double* low, double* high) {
    extent.low = axis.low.value_or(extent.low);
    extent.high = axis.high.value_or(extent.high);
    auto ticks = RoundTicks(extent.low, extent.high, count, axis.whole);
    *low = axis.low.value_or(ticks.front());
    *high = axis.high.value_or(ticks.back());
    if (!(*high > *low)) *high = *low + 1;
    std::erase_if(ticks, [&](double t) {
      return t < *low - 1e-9 * (*high - *low) || t > *high + 1e-9 * (*high - *low);
    });
    return ticks;
  };
  frame.x_ticks = cover(chart.x, x, 6, &frame.x_low, &frame.x_high);
  // Time and samples end where the data ends: no empty right margin.
  if (!chart.x.high && x.high > x.low) {
    frame.x_high = x.high;
    std::erase_if(frame.x_ticks, [&](double t) { return t > frame.x_high * (1 + 1e-9); });
  }
  frame.y_ticks = cover(chart.y, y, 5, &frame.y_low, &frame.y_high);
  std::size_t longest = 1;
  const double step = frame.y_ticks.size() > 1 ? frame.y_ticks[1] - frame.y_ticks[0] : 1;
  for (double tick : frame.y_ticks) longest = std::max(longest, TickLabel(tick, step).size());
  frame.left = 12 + kCharacter * static_cast<double>(longest);
  return frame;
}

std::string Axes(const Chart& chart, const Frame& frame) {
  std::string svg;
  const double x_step = frame.x_ticks.size() > 1 ? frame.x_ticks[1] - frame.x_ticks[0] : 1;
  const double y_step = frame.y_ticks.size() > 1 ? frame.y_ticks[1] - frame.y_ticks[0] : 1;
  for (double tick : frame.y_ticks) {
    svg += Format("<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", frame.left,
                  kWidth - kRight, frame.Y(tick), frame.Y(tick));
    svg += Format("<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>", frame.left - 5,
                  frame.Y(tick) + 3.5, TickLabel(tick, y_step).c_str());
  }
  for (double tick : frame.x_ticks) {
    svg += Format("<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", frame.X(tick),
                  frame.X(tick), kHeight - kBottom, kHeight - kBottom + 4);
    svg += Format("<text class=\"tick\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                  frame.X(tick), kHeight - kBottom + 15, TickLabel(tick, x_step).c_str());
  }
  svg += Format("<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", frame.left,
                kWidth - kRight, kHeight - kBottom, kHeight - kBottom);
  svg += Format("<text class=\"label\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                (frame.left + kWidth - kRight) / 2, kHeight - 5, EscapeHtml(chart.x.label).c_str());
  svg += Format("<text class=\"label\" x=\"2\" y=\"13\">%s</text>", EscapeHtml(chart.y.label).c_str());
  return svg;
}

std::string PathOf(const Frame& frame, const std::vector<ChartPoint>& points) {
  std::string path;
  bool pen_down = false;
  for (const ChartPoint& point : points) {
    if (!Finite(point)) {
      pen_down = false;
      continue;
    }
    path += Format("%c%.1f %.1f", pen_down ? 'L' : 'M', frame.X(point.x), frame.Y(point.y));
    pen_down = true;
  }
  return path;
}

// Circle, square, triangle, diamond, …: told apart without colour.
std::string Symbol(int style, double x, double y) {
  switch (style % 4) {
    case 1:
      return Format("<rect x=\"%.1f\" y=\"%.1f\" width=\"6\" height=\"6\"/>", x - 3, y - 3);
    case 2:
      return Format("<path d=\"M%.1f %.1fl4 7h-8z\"/>", x, y - 4.5);
    case 3:
      return Format("<path d=\"M%.1f %.1fl4 4-4 4-4-4z\"/>", x, y - 4);
    default:
      return Format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"/>", x, y);
  }
}

std::string Symbols(const Frame& frame, const std::vector<ChartPoint>& points, int style) {
  std::string svg = Format("<g class=\"dot s%d\">", style);
  for (const ChartPoint& point : points) {
    if (Finite(point)) svg += Symbol(style, frame.X(point.x), frame.Y(point.y));
  }
  return svg + "</g>";
}

std::string Whiskers(const Frame& frame, const std::vector<ChartPoint>& points, int style) {
  std::string path;
  for (const ChartPoint& point : points) {
    if (Finite(point) && point.low < point.high)
      path += Format("M%.1f %.1fV%.1f", frame.X(point.x), frame.Y(point.low), frame.Y(point.high));
  }
  return path.empty() ? path : Format("<path class=\"whisker s%d\" d=\"%s\"/>", style, path.c_str());
}

std::string Marks(const Chart& chart, const Frame& frame, const Series& series, int style) {
  std::string svg;
  switch (series.mark) {
    case Mark::kBars:
      svg = Format("<g class=\"bar s%d\">", style);
      for (const ChartPoint& point : series.points) {
        if (!Finite(point)) continue;
        const double x = frame.X(point.x - 0.42 * chart.bar_width),
                     end = frame.X(point.x + 0.42 * chart.bar_width);
        const double y = frame.Y(std::max(point.y, 0.0)), base = frame.Y(std::min(point.y, 0.0));
        svg +=
            Format("<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", x, y, end - x, base - y);
      }
      return svg + "</g>";
    case Mark::kSteps: {
      std::vector<ChartPoint> outline;
      for (const ChartPoint& point : series.points) {
        if (!Finite(point)) continue;
        if (outline.empty()) outline.push_back({point.x - chart.bar_width / 2, 0});
        outline.push_back({point.x - chart.bar_width / 2, point.y});
        outline.push_back({point.x + chart.bar_width / 2, point.y});
      }
      if (!outline.empty()) outline.push_back({outline.back().x, 0});
      return Format("<path class=\"area s%d\" d=\"%s\"/>", style, PathOf(frame, outline).c_str());
    }
    case Mark::kPoints:
      return Whiskers(frame, series.points, style) + Symbols(frame, series.points, style);
    case Mark::kLine:
    case Mark::kLineAndPoints:
      break;
  }
  svg = Whiskers(frame, series.points, style);
  svg += Format("<path class=\"line s%d\" d=\"%s\"/>", style, PathOf(frame, series.points).c_str());
  const auto finite = std::count_if(series.points.begin(), series.points.end(), Finite);
  // A lone point has no line to be seen by.
  if (series.mark == Mark::kLineAndPoints || finite == 1) svg += Symbols(frame, series.points, style);
  return svg;
}

std::string Rules(const Chart& chart, const Frame& frame) {
  std::string svg;
  if (chart.diagonal) {
    const double low = std::max(frame.x_low, frame.y_low), high = std::min(frame.x_high, frame.y_high);
    if (high > low) {
      svg += Format("<line class=\"rule\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", frame.X(low),
                    frame.Y(low), frame.X(high), frame.Y(high));
    }
  }
  for (const Rule& rule : chart.rules) {
    if (rule.vertical) {
      svg += Format("<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                    frame.X(rule.at), frame.X(rule.at), kTop, kHeight - kBottom);
      continue;
    }
    const double y = frame.Y(rule.at);
    svg += Format("<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", frame.left,
                  kWidth - kRight, y, y);
    svg += Format("<text class=\"note\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>",
                  kWidth - kRight - 2, y - 3, EscapeHtml(rule.label).c_str());
  }
  return svg;
}

std::string Legend(const Chart& chart) {
  if (chart.series.size() < 2 && (chart.series.empty() || chart.series[0].name.empty())) return {};
  std::string html = "<p class=\"legend\">";
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const int style = static_cast<int>(s) % kStyles;
    html += "<span><svg viewBox=\"0 0 24 10\" width=\"24\" height=\"10\" aria-hidden=\"true\">";
    switch (chart.series[s].mark) {
      case Mark::kBars:
        html += Format("<g class=\"bar s%d\"><rect x=\"6\" y=\"0\" width=\"12\" height=\"10\"/></g>", style);
        break;
      case Mark::kSteps:
        html += Format("<path class=\"area s%d\" d=\"M4 10V2H20V10\"/>", style);
        break;
      case Mark::kPoints:
        html += Format("<g class=\"dot s%d\">%s</g>", style, Symbol(style, 12, 5).c_str());
        break;
      case Mark::kLine:
      case Mark::kLineAndPoints:
        html += Format("<path class=\"line s%d\" d=\"M1 5H23\"/>", style);
        break;
    }
    html += "</svg>" + EscapeHtml(chart.series[s].name) + "</span>";
  }
  return html + "</p>";
}

// `width`: beyond kWidth the drawing keeps its size.
std::string Figure(const std::string& title, const std::string& description, double height,
                   const std::string& content, const std::string& legend, double width = kWidth) {
  const std::string size = width > kWidth ? Format(" style=\"width:%.0fpx\"", width) : "";
  return Format(
             "<figure%s><figcaption>%s</figcaption><svg class=\"chart\"%s viewBox=\"0 0 %.0f %.0f\" "
             "role=\"img\" "
             "aria-label=\"%s\"><title>%s</title>",
             width > kWidth ? " class=\"wide-chart\"" : "", EscapeHtml(title).c_str(), size.c_str(), width,
             height, EscapeHtml(title + ": " + description).c_str(), EscapeHtml(title).c_str()) +
         content + "</svg>" + legend + "</figure>\n";
}

std::string NothingToDraw(const std::string& title) {
  return "<figure><figcaption>" + EscapeHtml(title) +
         "</figcaption><p class=\"none\">nothing to draw</p></figure>\n";
}

std::string SvgText(const char* style, const char* anchor, double x, double y, const std::string& text) {
  return Format("<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>", style, anchor, x, y,
                EscapeHtml(text).c_str());
}

}  // namespace

std::vector<double> RoundTicks(double low, double high, int count, bool whole) {
  if (!(high > low)) {  // one value: a range around it
    const double size = low == 0 ? 1 : std::abs(low) * 0.1;
    low = whole ? low : low - size;
    high += whole ? 1 : size;
  }
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double factor : {5.0, 2.5, 2.0, 1.0}) {
    if (rough <= factor * power) step = factor * power;
  }
  if (whole) step = std::max(1.0, std::ceil(step - 1e-9));
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

std::string RenderChart(const Chart& chart) {
  Extent x, y;
  for (const Series& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      if (!Finite(point)) continue;
      x.Add(point.x);
      y.Add(point.y);
      if (point.low < point.high) y.Add(point.low), y.Add(point.high);
    }
  }
  if (x.empty()) return NothingToDraw(chart.title);
  const Frame frame = FrameOf(chart, x, y);
  std::string content = Axes(chart, frame) + Rules(chart, frame);
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    content += Marks(chart, frame, chart.series[s], static_cast<int>(s) % kStyles);
  }
  return Figure(chart.title, chart.description, kHeight, content, Legend(chart));
}

std::string RenderBars(const NamedBars& bars) {
  constexpr double kRow = 20;
  std::size_t name_length = 1, text_length = 1;
  double most = 0;
  for (const NamedBar& bar : bars.bars) {
    name_length = std::max(name_length, bar.name.size());
    text_length = std::max(text_length, bar.text.size());
    if (std::isfinite(bar.value)) most = std::max(most, bar.value);
  }
  if (bars.bars.empty()) return NothingToDraw(bars.title);
  const double left = 8 + kCharacter * static_cast<double>(name_length);
  const double room = kWidth - left - 12 - kCharacter * static_cast<double>(text_length);
  std::string content;
  double y = 4;
  for (const NamedBar& bar : bars.bars) {
    const double width = most > 0 && bar.value > 0 ? std::max(1.0, room * bar.value / most) : 0;
    content += Format("<text class=\"tick\" text-anchor=\"end\" x=\"%.1f\" y=\"%.1f\">%s</text>", left - 5,
                      y + 12, EscapeHtml(bar.name).c_str());
    content += Format("<g class=\"bar s0\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\"/></g>",
                      left, y + 1, width);
    content += Format("<text class=\"note\" x=\"%.1f\" y=\"%.1f\">%s</text>", left + width + 5, y + 12,
                      EscapeHtml(bar.text).c_str());
    y += kRow;
  }
  return Figure(bars.title, bars.description, y + 2, content, "");
}

std::string RenderHeatMap(const HeatMap& map) {
  constexpr double kCellWidth = 34, kCellHeight = 20, kHead = 36;
  double most = 0;
  std::size_t columns = 0, name_length = map.row_label.size();
  for (const std::vector<HeatMap::Cell>& row : map.cells) {
    columns = std::max(columns, row.size());
    for (const HeatMap::Cell& cell : row) most = std::max(most, cell.share);
  }
  for (const std::string& name : map.rows) name_length = std::max(name_length, name.size());
  if (columns == 0) return NothingToDraw(map.title);
  const double left = 10 + kCharacter * static_cast<double>(name_length);
  std::string content = SvgText("label", "start", 2, kHead - 8, map.row_label) +
                        SvgText("label", "start", left + 4, 12, map.column_label);
  for (std::size_t j = 0; j < columns; ++j)
    content += SvgText("tick", "middle", left + (static_cast<double>(j) + 0.5) * kCellWidth, kHead - 8,
                       map.columns[j]);
  double y = kHead;
  for (std::size_t i = 0; i < map.cells.size(); ++i, y += kCellHeight) {
    content += SvgText("tick", "end", left - 6, y + 14, map.rows[i]);
    for (std::size_t j = 0; j < map.cells[i].size(); ++j) {
      const HeatMap::Cell& cell = map.cells[i][j];
      const double x = left + static_cast<double>(j) * kCellWidth;
      content += Format(
          "<rect class=\"heat\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill-opacity=\"%.3f\"/>",
          x, y, kCellWidth - 1, kCellHeight - 1, most > 0 ? 0.04 + 0.96 * cell.share / most : 0.04);
      content += SvgText("cell", "middle", x + kCellWidth / 2, y + 14, cell.text);
    }
  }
  const double width = left + static_cast<double>(columns) * kCellWidth + 8;
  return Figure(map.title, map.description, y + 4, content, "", std::max(width, kWidth));
}

std::string RenderFlows(const Flows& flows) {
  constexpr double kAll = 250, kLeast = 15, kGap = 9, kHead = 22, kNode = 10, kBetween = 260;
  struct End {
    std::string text;
    double total = 0, top = 0, next = 0;  // next: where its next ribbon begins
  };
  std::vector<End> from(flows.from.size()), to(flows.to.size());
  double all = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    for (std::size_t j = 0; j < to.size(); ++j) {
      from[i].total += flows.counts[i][j], to[j].total += flows.counts[i][j];
      all += flows.counts[i][j];
    }
  }
  if (!(all > 0)) return NothingToDraw(flows.title);
  const double unit = kAll / all;
  double bottom = 0;
  std::size_t longest_left = flows.left_label.size(), longest_right = flows.right_label.size();
  const auto place = [&](std::vector<End>& ends, const std::vector<std::string>& names,
                         std::size_t* longest) {
    double y = kHead;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      End& end = ends[i];
      if (!(end.total > 0)) continue;
      end.text = names[i] + " " + FormatCount(end.total);
      *longest = std::max(*longest, end.text.size());
      const double height = std::max(kLeast, unit * end.total);
      end.top = y;
      end.next = y + (height - unit * end.total) / 2;
      y += height + kGap;
    }
    bottom = std::max(bottom, y);
  };
  place(from, flows.from, &longest_left);
  place(to, flows.to, &longest_right);
  const double left = 12 + kCharacter * static_cast<double>(longest_left), begin = left + kNode,
               end = begin + kBetween, middle = (begin + end) / 2;
  std::string content = SvgText("label", "end", begin, 12, flows.left_label) +
                        SvgText("label", "start", end, 12, flows.right_label);
  for (std::size_t i = 0; i < from.size(); ++i) {
    for (std::size_t j = 0; j < to.size(); ++j) {
      const double thick = unit * flows.counts[i][j];
      if (!(thick > 0)) continue;
      const double a = from[i].next, b = to[j].next;
      content += Format(
          "<path class=\"flow s%d\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fv%.2fC%.1f %.1f %.1f %.1f "
          "%.1f %.1fz\"/>",
          static_cast<int>(i) % kStyles, begin, a, middle, a, middle, b, end, b, std::max(thick, 0.6), middle,
          b + thick, middle, a + thick, begin, a + thick);
      from[i].next += thick, to[j].next += thick;
    }
  }
  const auto draw = [&](const std::vector<End>& ends, double x, bool on_left) {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (!(ends[i].total > 0)) continue;
      const double height = std::max(kLeast, unit * ends[i].total);
      content +=
          Format("<g class=\"bar s%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></g>",
                 static_cast<int>(i) % kStyles, x, ends[i].top, kNode, height);
      content += SvgText("note", on_left ? "end" : "start", on_left ? x - 5 : x + kNode + 5,
                         ends[i].top + height / 2 + 3.5, ends[i].text);
    }
  };
  draw(from, left, true);
  draw(to, end, false);
  const double width = end + kNode + 12 + kCharacter * static_cast<double>(longest_right);
  return Figure(flows.title, flows.description, bottom, content, "", std::max(width, kWidth));
}

}  // namespace cohort
