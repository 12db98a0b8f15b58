# Installs the SDK of SDK_BUILD into WORK, and builds each project in EXAMPLES against it.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${ARGN}\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" "-DCMAKE_INSTALL_PREFIX=${WORK}/prefix" -P "${SDK_BUILD}/cmake_install.cmake")
foreach(example wordcount c_upper)
  run("${CMAKE_COMMAND}" -S "${EXAMPLES}/${example}" -B "${WORK}/${example}" -G "${GENERATOR}"
      "-DCMAKE_PREFIX_PATH=${WORK}/prefix" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_CXX_COMPILER=${CXX}")
  run("${CMAKE_COMMAND}" --build "${WORK}/${example}")
endforeach()
