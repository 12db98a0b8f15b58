// Finds the manifest in an ELF file. The file is anybody's: each offset and size in it is checked before it is used.
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "plugins/manifest/manifest.hpp"

namespace retire {
namespace {

constexpr std::uint64_t kSymbolBytesMax = std::uint64_t{64} << 20;  // of the table of exported names
constexpr std::size_t kSectionsMax = 65'535;

struct Refused {
  std::string why;
};
struct Unreadable {
  int reason;
};

class File {
 public:
  File(int descriptor, std::uint64_t size) : descriptor_(descriptor), size_(size) {}
  std::uint64_t size() const { return size_; }

  void read(std::uint64_t offset, void* to, std::uint64_t size) const {
    if (offset > size_ || size > size_ - offset) throw Refused{"it is cut short"};
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t got = ::pread(descriptor_, at, size, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw Unreadable{errno};
      if (got == 0) throw Refused{"it became shorter while it was read"};
      at += got;
      offset += static_cast<std::uint64_t>(got);
      size -= static_cast<std::uint64_t>(got);
    }
  }
  template <class T>
  T at(std::uint64_t offset) const {
    T out;
    read(offset, &out, sizeof out);
    return out;
  }

 private:
  int descriptor_;
  std::uint64_t size_;
};

struct Elf32 {
  using Header = Elf32_Ehdr;
  using Section = Elf32_Shdr;
  using Segment = Elf32_Phdr;
  using Symbol = Elf32_Sym;
};
struct Elf64 {
  using Header = Elf64_Ehdr;
  using Section = Elf64_Shdr;
  using Segment = Elf64_Phdr;
  using Symbol = Elf64_Sym;
};

// Where in the file lies what is loaded at this address.
template <class Elf>
std::uint64_t offset_of(const File& file, const typename Elf::Header& header, std::uint64_t address,
                        std::uint64_t size) {
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto segment = file.at<typename Elf::Segment>(header.e_phoff + std::uint64_t{i} * header.e_phentsize);
    if (segment.p_type != PT_LOAD || address < segment.p_vaddr) continue;
    const std::uint64_t inside = address - segment.p_vaddr;
    if (inside < segment.p_filesz && size <= segment.p_filesz - inside) return segment.p_offset + inside;
  }
  throw Refused{std::string(kManifestSymbol) + " lies outside of the file"};
}

template <class Elf>
std::string find_manifest(const File& file) {
  const auto header = file.at<typename Elf::Header>(0);
  if (header.e_type != ET_DYN) throw Refused{"not a shared library"};
  if (header.e_shentsize != sizeof(typename Elf::Section) || header.e_phentsize != sizeof(typename Elf::Segment)) {
    throw Refused{"its tables have entries of a size that ELF does not have"};
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(header.e_shnum, kSectionsMax); ++i) {
    const auto section = file.at<typename Elf::Section>(header.e_shoff + i * sizeof(typename Elf::Section));
    if (section.sh_type != SHT_DYNSYM) continue;
    if (section.sh_size > kSymbolBytesMax) throw Refused{"its table of symbols is too large"};
    if (section.sh_link >= header.e_shnum) throw Refused{"its symbols have no names"};
    const auto names = file.at<typename Elf::Section>(header.e_shoff + section.sh_link * sizeof(typename Elf::Section));
    if (names.sh_size > kSymbolBytesMax) throw Refused{"its table of names is too large"};
    if (names.sh_size > file.size() || section.sh_size > file.size()) throw Refused{"it is cut short"};
    std::string text(names.sh_size, '\0');
    file.read(names.sh_offset, text.data(), text.size());
    std::vector<typename Elf::Symbol> symbols(section.sh_size / sizeof(typename Elf::Symbol));
    file.read(section.sh_offset, symbols.data(), symbols.size() * sizeof(typename Elf::Symbol));
    const std::string wanted = std::string(kManifestSymbol) + '\0';
    for (const auto& symbol : symbols) {
      if (symbol.st_name >= text.size() || text.compare(symbol.st_name, wanted.size(), wanted) != 0) continue;
      if (symbol.st_shndx == SHN_UNDEF) continue;
      if ((symbol.st_info & 0xf) != STT_OBJECT || symbol.st_size == 0) {
        throw Refused{std::string(kManifestSymbol) + " is not a text: declare it with RC_PLUGIN_MANIFEST"};
      }
      if (symbol.st_size > kManifestBytesMax + 1) {
        throw Refused{"its manifest has " + std::to_string(symbol.st_size) + " bytes; at most " +
                      std::to_string(kManifestBytesMax)};
      }
      std::string manifest(symbol.st_size, '\0');
      file.read(offset_of<Elf>(file, header, symbol.st_value, symbol.st_size), manifest.data(), manifest.size());
      manifest.resize(std::min(manifest.find('\0'), manifest.size()));
      return manifest;
    }
  }
  return {};
}

}  // namespace

Result<std::string> read_manifest_text(int descriptor, const std::string& name) {
  const auto io = [&](int reason) { return Error{ErrorCode::Io, name + ": cannot be read: " + std::strerror(reason)}; };
  struct stat info {};
  if (::fstat(descriptor, &info) != 0) return io(errno);
  if (!S_ISREG(info.st_mode)) return Error{ErrorCode::PluginRefused, name + ": not a file"};
  try {
    const File file(descriptor, static_cast<std::uint64_t>(info.st_size));
    unsigned char ident[EI_NIDENT] = {};
    file.read(0, ident, std::min<std::uint64_t>(sizeof ident, file.size()));
    if (std::memcmp(ident, ELFMAG, SELFMAG) != 0) throw Refused{"not a shared library"};
    constexpr unsigned char kHere = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
    if (ident[EI_DATA] != kHere) throw Refused{"built for a machine with another order of bytes"};
    if (ident[EI_CLASS] == ELFCLASS64) return find_manifest<Elf64>(file);
    if (ident[EI_CLASS] == ELFCLASS32) return find_manifest<Elf32>(file);
    throw Refused{"neither a 32-bit nor a 64-bit library"};
  } catch (const Refused& refused) {
    return Error{ErrorCode::PluginRefused, name + ": " + refused.why};
  } catch (const Unreadable& unreadable) {
    return io(unreadable.reason);
  }
}

Result<std::string> read_manifest_text(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe of that name ends at once
  if (descriptor < 0) {
    const int reason = errno;
    const bool missing = reason == ENOENT || reason == ENOTDIR;
    return Error{missing ? ErrorCode::PluginNotFound : ErrorCode::Io,
                 file.string() + ": " + (missing ? "no such file" : std::strerror(reason))};
  }
  Result<std::string> text = read_manifest_text(descriptor, file.string());
  ::close(descriptor);
  return text;
}

}  // namespace retire
