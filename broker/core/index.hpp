// Small building blocks of the core: numbered places, slabs and sets of bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "common/base/assert.hpp"
#include "common/base/pages.hpp"

namespace retire::core {

// A place in a slab; 0 is none. Typed, so that a task's place is not taken for a device's.
template <class Tag>
struct Index {
  std::uint32_t value = 0;
  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(const Index&, const Index&) = default;
};
using TaskIndex = Index<struct TaskTag>;
using DeviceIndex = Index<struct DeviceTag>;
using AttemptIndex = Index<struct AttemptPlaceTag>;
using SpecIndex = Index<struct SpecTag>;
using ClassIndex = Index<struct ClassTag>;
using TypeIndex = Index<struct TypeTag>;
using GroupIndex = Index<struct GroupTag>;
using ProfileIndex = Index<struct ProfileTag>;
using LaneIndex = Index<struct LaneTag>;

// Objects at stable addresses, found by their place. Freed places are used again, the latest first.
template <class T, class Place>
class Slab {
 public:
  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (std::uint32_t i = 0; i <= last_ && !chunks_.empty(); ++i) (*this)[Place{i}].~T();
    for (T* chunk : chunks_) free_table(chunk);
  }

  Place add() {
    ++size_;
    if (!free_.empty()) {
      const Place place = free_.back();
      free_.pop_back();
      return place;
    }
    if (chunks_.empty()) add_chunk();
    const std::uint32_t next = ++last_;
    RC_ASSERT(next != 0);
    if (next / kChunk >= chunks_.size()) add_chunk();
    new (&(*this)[Place{next}]) T();
    return Place{next};
  }
  // The object is reset to its default value.
  void remove(Place place) {
    (*this)[place] = T{};
    free_.push_back(place);
    --size_;
  }
  T& operator[](Place place) { return chunks_[place.value / kChunk][place.value % kChunk]; }
  const T& operator[](Place place) const { return chunks_[place.value / kChunk][place.value % kChunk]; }

  std::size_t size() const { return size_; }
  std::uint32_t last() const { return last_; }  // highest place ever used

 private:
  // A chunk takes at most a huge page, and all but the first take one: of the first, only what is used is touched.
  static constexpr std::uint32_t kChunk = static_cast<std::uint32_t>(std::bit_floor(kHugePage / sizeof(T)));

  void add_chunk() {
    chunks_.push_back(static_cast<T*>(allocate_table(kChunk * sizeof(T), !chunks_.empty())));
    if (chunks_.size() == 1) new (chunks_[0]) T();  // place 0: none
  }

  std::vector<T*> chunks_;
  std::vector<Place> free_;
  std::size_t size_ = 0;
  std::uint32_t last_ = 0;
};

// A growing set of small numbers.
class Bits {
 public:
  bool test(std::uint32_t i) const { return i / 64 < words_.size() && ((words_[i / 64] >> (i % 64)) & 1) != 0; }
  void set(std::uint32_t i) {
    if (i / 64 >= words_.size()) words_.resize(i / 64 + 1);
    words_[i / 64] |= std::uint64_t{1} << (i % 64);
  }
  void reset(std::uint32_t i) {
    if (i / 64 < words_.size()) words_[i / 64] &= ~(std::uint64_t{1} << (i % 64));
  }
  bool intersects(const Bits& other) const {
    const std::size_t words = std::min(words_.size(), other.words_.size());
    for (std::size_t i = 0; i < words; ++i) {
      if ((words_[i] & other.words_[i]) != 0) return true;
    }
    return false;
  }
  void merge(const Bits& other) {
    if (words_.size() < other.words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
  }
  bool any() const {
    for (const std::uint64_t word : words_) {
      if (word != 0) return true;
    }
    return false;
  }
  // Calls visit(i) for each i in both sets, from `start` upwards and then from 0; visit returns false to stop.
  template <class Visit>
  void for_each_common(const Bits& other, std::uint32_t start, Visit visit) const {
    const std::size_t words = std::min(words_.size(), other.words_.size());
    if (words == 0) return;
    const std::size_t first = (start / 64) % words;
    for (std::size_t n = 0; n < words; ++n) {
      const std::size_t i = first + n < words ? first + n : first + n - words;
      std::uint64_t word = words_[i] & other.words_[i];
      while (word != 0) {
        const auto bit = static_cast<std::uint32_t>(std::countr_zero(word));
        if (!visit(static_cast<std::uint32_t>(i) * 64 + bit)) return;
        word &= word - 1;
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace retire::core
