// Memory for tables that grow large.
#pragma once

#include <cstddef>

namespace retire {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Uninitialised memory that begins at a cache line; with `huge` at a huge page, and the system is asked to use those:
// at random places in a table of 100 MB the look-up of addresses costs as much as the data itself. Never null: aborts
// when there is no memory. Freed by free_table().
void* allocate_table(std::size_t bytes, bool huge);
void free_table(void* memory);

// For containers of the standard library.
template <class T>
struct TableAllocator {
  using value_type = T;
  TableAllocator() = default;
  template <class U>
  TableAllocator(const TableAllocator<U>& /*other*/) {}
  T* allocate(std::size_t n) { return static_cast<T*>(allocate_table(n * sizeof(T), n * sizeof(T) >= kHugePage)); }
  void deallocate(T* memory, std::size_t /*n*/) { free_table(memory); }
  friend bool operator==(const TableAllocator&, const TableAllocator&) { return true; }
};

// Asks for the cache line at an address that is about to be used; any address will do.
inline void prefetch(const void* at) { __builtin_prefetch(at); }
// Of an object that takes several.
template <class T>
inline void prefetch_object(const T& object) {
  for (std::size_t at = 0; at < sizeof(T); at += kCacheLine) prefetch(reinterpret_cast<const char*>(&object) + at);
}

}  // namespace retire
