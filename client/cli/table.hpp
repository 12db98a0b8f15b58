// Aligned columns, as wide as the terminal at most.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace retire::cli {

enum class Colour { None, Green, Red, Yellow, Blue, Grey, Bold };

// `text` in a colour, if colours are wanted.
std::string coloured(const std::string& text, Colour colour, bool wanted);

class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;  // aligned
  };
  struct Cell {
    std::string text;
    Colour colour = Colour::None;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  // `width` 0: no limit. What does not fit is cut from the widest column.
  void print(std::ostream& out, std::size_t width, bool colours) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace retire::cli
