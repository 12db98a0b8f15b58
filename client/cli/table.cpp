#include "client/cli/table.hpp"

#include <algorithm>
#include <numeric>

#include "client/cli/text.hpp"

namespace retire::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kColumnMin = 8;  // narrower than this nothing is made

std::string_view code(Colour colour) {
  switch (colour) {
    case Colour::Green: return "\x1b[32m";
    case Colour::Red: return "\x1b[31m";
    case Colour::Yellow: return "\x1b[33m";
    case Colour::Blue: return "\x1b[34m";
    case Colour::Grey: return "\x1b[90m";
    case Colour::Bold: return "\x1b[1m";
    case Colour::None: break;
  }
  return "";
}

}  // namespace

std::string coloured(const std::string& text, Colour colour, bool wanted) {
  if (!wanted || colour == Colour::None) return text;
  return std::string(code(colour)) + text + "\x1b[0m";
}

void Table::add(std::vector<Cell> row) {
  row.resize(columns_.size());
  for (Cell& cell : row) {
    cell.text = printable(cell.text);
    if (cell.text.empty()) cell.text = "-";
  }
  rows_.push_back(std::move(row));
}

void Table::print(std::ostream& out, std::size_t width, bool colours) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = columns(columns_[i].title);
    for (const auto& row : rows_) widest = std::max(widest, columns(row[i].text));
    widths.push_back(widest);
  }
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + kGap * (widths.size() - 1);
  };
  while (width > 0 && total() > width) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kColumnMin) break;
    *widest -= std::min(*widest - kColumnMin, total() - width);
  }
  const auto print_row = [&](auto&& cell_at) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Cell& cell = cell_at(i);
      const std::string text = cut(cell.text, widths[i]);
      const std::string space(widths[i] - columns(text), ' ');
      const bool last = i + 1 == columns_.size();
      if (columns_[i].right) line += space;
      line += coloured(text, cell.colour, colours);
      if (!columns_[i].right && !last) line += space;
      if (!last) line += std::string(kGap, ' ');
    }
    out << line << "\n";
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.push_back({column.title, Colour::Bold});
  print_row([&](std::size_t i) -> const Cell& { return titles[i]; });
  for (const auto& row : rows_) print_row([&](std::size_t i) -> const Cell& { return row[i]; });
}

}  // namespace retire::cli
