# Installs the SDK of SDK_BUILD into WORK, and builds against it each project in EXAMPLES and the example of DOCUMENT.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" "-DCMAKE_INSTALL_PREFIX=${WORK}/prefix" -P "${SDK_BUILD}/cmake_install.cmake")

# The first block of each of the two languages in the document, as a reader would copy it.
function(take_block language out)
  file(READ "${DOCUMENT}" text)
  string(FIND "${text}" "```${language}\n" start)
  string(LENGTH "```${language}\n" fence)
  math(EXPR start "${start} + ${fence}")
  string(SUBSTRING "${text}" ${start} -1 text)
  string(FIND "${text}" "```" end)
  string(SUBSTRING "${text}" 0 ${end} text)
  set(${out} "${text}" PARENT_SCOPE)
endfunction()
take_block(cpp source)
take_block(cmake lists)
file(WRITE "${WORK}/source/greeter/greeter.cpp" "${source}")
file(WRITE "${WORK}/source/greeter/CMakeLists.txt"
     "cmake_minimum_required(VERSION 3.25)\nproject(greeter LANGUAGES CXX)\n${lists}")
file(COPY "${EXAMPLES}/wordcount" "${EXAMPLES}/c_upper" DESTINATION "${WORK}/source")

foreach(example greeter wordcount c_upper)
  run("${CMAKE_COMMAND}" -S "${WORK}/source/${example}" -B "${WORK}/${example}" -G "${GENERATOR}"
      "-DCMAKE_PREFIX_PATH=${WORK}/prefix" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}")
  run("${CMAKE_COMMAND}" --build "${WORK}/${example}")
endforeach()
