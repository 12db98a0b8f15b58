#include "broker/store/crc32c.hpp"

#include <dlfcn.h>

#include <cstring>

namespace rocksdb::crc32c {

// What librocksdb.so calls: a program's symbol goes before a library's of the same name.
[[gnu::visibility("default")]] std::uint32_t Extend(std::uint32_t crc, const char* bytes, std::size_t size);

}  // namespace rocksdb::crc32c

namespace retire::store {
namespace {

constexpr char kSymbol[] = "_ZN7rocksdb6crc32c6ExtendEjPKcm";
using Extend = std::uint32_t (*)(std::uint32_t, const char*, std::size_t);

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] std::uint32_t by_instruction(std::uint32_t crc, const char* bytes, std::size_t size) {
  std::uint64_t state = ~crc;
  for (; size >= 8; size -= 8, bytes += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    state = __builtin_ia32_crc32di(state, word);
  }
  auto rest = static_cast<std::uint32_t>(state);
  for (; size > 0; --size, ++bytes) rest = __builtin_ia32_crc32qi(rest, static_cast<unsigned char>(*bytes));
  return ~rest;
}
#endif

Extend choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return by_instruction;
#endif
  return reinterpret_cast<Extend>(::dlsym(RTLD_NEXT, kSymbol));
}

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, const char* bytes, std::size_t size) {
  static const Extend chosen = choose();
  return chosen(crc, bytes, size);
}

bool crc32c_is_replaced() {
  return ::dlsym(RTLD_DEFAULT, kSymbol) == reinterpret_cast<void*>(&rocksdb::crc32c::Extend);
}

}  // namespace retire::store

std::uint32_t rocksdb::crc32c::Extend(std::uint32_t crc, const char* bytes, std::size_t size) {
  return retire::store::crc32c(crc, bytes, size);
}
