# Fuzz targets, tests/fuzz/NAME_fuzz.cc. With COHORT_FUZZ (preset fuzz: clang) they are linked to libFuzzer as bin/NAME_fuzz,
# with as much of the libraries as they need; else to a driver that replays tests/fuzz/corpus/NAME/ as a test.
set(fuzz_targets data_frames control_messages evaluation_sums model_manifest model_parts schema shop shop_records run_file csv)

set(fuzz_folder ${CMAKE_SOURCE_DIR}/tests/fuzz)
add_library(cohort_fuzz STATIC ${fuzz_folder}/fuzz.cc ${fuzz_folder}/frames.cc)
if(COHORT_FUZZ)
  # Whole folders, so that a new file cannot be forgotten here; of the scheduler only what decodes input.
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/common/*.cc ${CMAKE_SOURCE_DIR}/prepare/*.cc
       ${CMAKE_SOURCE_DIR}/lifecycle/*.cc)
  foreach(source evaluation hazard_metrics rank_metrics)
    list(APPEND sources ${CMAKE_SOURCE_DIR}/scheduler/${source}.cc)
  endforeach()
  add_library(cohort_fuzzed STATIC ${sources})
  target_link_libraries(cohort_fuzzed PUBLIC PkgConfig::ZMQ HDF5::HDF5 nlohmann_json::nlohmann_json xxhash ZLIB::ZLIB)
  target_link_libraries(cohort_fuzz PUBLIC cohort_fuzzed)
else()
  target_link_libraries(cohort_fuzz PUBLIC cohort_scheduler cohort_lifecycle cohort_prepare cohort_common HDF5::HDF5)
endif()

foreach(name ${fuzz_targets})
  if(COHORT_FUZZ)
    add_executable(${name}_fuzz ${fuzz_folder}/${name}_fuzz.cc)
    target_link_options(${name}_fuzz PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name}_fuzz ${fuzz_folder}/${name}_fuzz.cc ${fuzz_folder}/replay.cc)
    add_dependencies(unit_tests ${name}_fuzz)
    set_target_properties(${name}_fuzz PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
    add_test(NAME fuzz.${name} COMMAND ${name}_fuzz ${fuzz_folder}/corpus/${name})
    set_tests_properties(fuzz.${name} PROPERTIES LABELS fast TIMEOUT 300)
  endif()
  target_link_libraries(${name}_fuzz PRIVATE cohort_fuzz)
  target_compile_options(${name}_fuzz PRIVATE $<$<CONFIG:Release>:-O1>)
endforeach()

# bin/make_corpus: writes the seeds of the binary targets. Built on request only.
if(NOT COHORT_FUZZ)
  add_executable(make_corpus EXCLUDE_FROM_ALL ${fuzz_folder}/make_corpus.cc)
  target_link_libraries(make_corpus PRIVATE cohort_fuzz)
endif()
