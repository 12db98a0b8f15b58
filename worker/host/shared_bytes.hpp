// Bytes in memory that two processes share, which one may write while the other reads them.
//
// Each word is written with release and read with acquire. So whoever has read something new also sees all that the
// writer had stored before it: a counter that is set before the bytes and looked at after them tells whether they were
// written meanwhile. Without that the copy itself would be a data race, whatever is thrown away afterwards.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace retire::host {

// `kBytes`: a multiple of 8. The memory is not touched until it is used. One writer, one reader.
template <std::size_t kBytes>
class SharedBytes {
 public:
  // Precondition of both: at + size <= kBytes.
  void write(std::size_t at, const void* from, std::size_t size) {
    const char* next = static_cast<const char*>(from);
    while (size > 0) {
      const std::size_t offset = at % sizeof(Word);
      const std::size_t part = std::min(size, sizeof(Word) - offset);
      const std::atomic_ref<Word> shared(words_[at / sizeof(Word)]);
      Word word = part == sizeof(Word) ? 0 : shared.load(std::memory_order_relaxed);
      std::memcpy(reinterpret_cast<char*>(&word) + offset, next, part);
      shared.store(word, std::memory_order_release);
      at += part;
      next += part;
      size -= part;
    }
  }

  void read(std::size_t at, void* to, std::size_t size) const {
    char* next = static_cast<char*>(to);
    while (size > 0) {
      const std::size_t offset = at % sizeof(Word);
      const std::size_t part = std::min(size, sizeof(Word) - offset);
      const Word word = std::atomic_ref<Word>(words_[at / sizeof(Word)]).load(std::memory_order_acquire);
      std::memcpy(next, reinterpret_cast<const char*>(&word) + offset, part);
      at += part;
      next += part;
      size -= part;
    }
  }

  // For the writer, whose own bytes do not change under it.
  const char* begin() const { return reinterpret_cast<const char*>(words_); }

 private:
  using Word = std::uint64_t;
  static_assert(kBytes % sizeof(Word) == 0 && std::atomic_ref<Word>::is_always_lock_free);
  alignas(std::atomic_ref<Word>::required_alignment) mutable Word words_[kBytes / sizeof(Word)];
};

}  // namespace retire::host
