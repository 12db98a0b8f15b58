// CRC-32C (Castagnoli) by the processor's instruction, in place of RocksDB's.
//
// Debian builds RocksDB for the oldest x86-64 there is, so each byte of its log is summed by table look-ups: a gigabyte
// a second, the largest part of what a durable batch costs. Linked into a program, crc32c.cpp takes the place of the
// function that librocksdb.so calls for it (docs/adr/0012-what-is-linked-for-speed.md). The sums are the same; where
// the processor lacks the instruction, RocksDB's own function computes them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retire::store {

// Of `size` more bytes after those that gave `crc`; 0 for none before.
std::uint32_t crc32c(std::uint32_t crc, const char* bytes, std::size_t size);

// Whether librocksdb.so calls the function here.
bool crc32c_is_replaced();

}  // namespace retire::store
