# Settings and helpers that every folder's CMakeLists.txt uses.
include(GNUInstallDirs)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")  # -O3 builds slower and runs no faster; RC_ASSERT does not ask NDEBUG
find_program(RC_CCACHE ccache)
if(RC_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${RC_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${RC_CCACHE})
endif()

option(RC_WERROR "Treat warnings as errors" OFF)
set(RC_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")

# The layout of a build tree is that of an installation, so that programs find plugins and the handler host the same way.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(RC_PLUGIN_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib/retire-cluster/plugins")
set(RC_LIBEXEC_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/libexec/retire-cluster")
set(RC_PLUGIN_INSTALL_DIR "lib/retire-cluster/plugins")
set(RC_LIBEXEC_INSTALL_DIR "libexec/retire-cluster")

add_library(rc_options INTERFACE)
target_include_directories(rc_options INTERFACE "${PROJECT_SOURCE_DIR}")
target_compile_options(rc_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion
  -Wnon-virtual-dtor -Woverloaded-virtual $<$<BOOL:${RC_WERROR}>:-Werror>)
# g++ 12 warns of overlapping copies in its own std::string when it optimises (GCC bug 105651); nobody else's does.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(rc_options INTERFACE -Wno-restrict)
endif()
target_compile_definitions(rc_options INTERFACE RC_VERSION="${PROJECT_VERSION}")
if(RC_SANITIZE)
  target_compile_options(rc_options INTERFACE -fsanitize=${RC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(rc_options INTERFACE -fsanitize=${RC_SANITIZE})
endif()

# rc_library(NAME SOURCES … [LINK …] [PRIVATE_LINK …]): the one static library of a folder; headers are included by their path from the top.
function(rc_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC rc_options ${ARG_LINK} PRIVATE ${ARG_PRIVATE_LINK})
endfunction()

# What takes the place of the C library's malloc in the programs: docs/adr/0012-what-is-linked-for-speed.md.
option(RC_JEMALLOC "Link the programs with jemalloc if it is installed" ON)
if(RC_JEMALLOC AND NOT RC_SANITIZE)
  find_library(RC_JEMALLOC_LIBRARY jemalloc)
endif()
if(NOT RC_JEMALLOC_LIBRARY OR RC_SANITIZE OR NOT RC_JEMALLOC)
  set(RC_JEMALLOC_LIBRARY "")
endif()

# rc_program(NAME SOURCES … LINK …): a program in bin/, installed.
function(rc_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE rc_options ${ARG_LINK} ${RC_JEMALLOC_LIBRARY})
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# rc_test(NAME SOURCES … LINK … [KNOW_PATHS SOURCE …]): a GoogleTest program; each test is one of ctest's.
# KNOW_PATHS: those sources that use RC_SOURCE_DIR or RC_BINARY_DIR. The others compile the same in every checkout, so ccache serves them.
function(rc_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK;KNOW_PATHS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  target_link_libraries(${name} PRIVATE rc_options ${ARG_LINK} GTest::gmock GTest::gtest_main)
  if(ARG_KNOW_PATHS)
    set_property(SOURCE ${ARG_KNOW_PATHS} APPEND PROPERTY COMPILE_DEFINITIONS
      RC_SOURCE_DIR="${PROJECT_SOURCE_DIR}" RC_BINARY_DIR="${PROJECT_BINARY_DIR}")
  endif()
  gtest_discover_tests(${name} PROPERTIES TIMEOUT 120 DISCOVERY_TIMEOUT 60)
endfunction()

find_package(Threads REQUIRED)
