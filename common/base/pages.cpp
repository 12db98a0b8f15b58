#include "common/base/pages.hpp"

#include <sys/mman.h>

#include <cstdlib>

#include "common/base/assert.hpp"

namespace retire {

void* allocate_table(std::size_t bytes, bool huge) {
  void* memory = nullptr;
  const int failed = posix_memalign(&memory, huge ? kHugePage : kCacheLine, bytes);
  RC_ASSERT(failed == 0 && memory != nullptr);
  if (huge) (void)madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: without huge pages it works as well, only slower
  return memory;
}

void free_table(void* memory) { std::free(memory); }

}  // namespace retire
