# Fuzz targets, tests/fuzz/NAME_fuzz.cc. With COHORT_FUZZ (preset fuzz: clang) they are linked to libFuzzer as bin/NAME_fuzz,
# with as much of the libraries as they need; else to a driver that replays tests/fuzz/corpus/NAME/ as a test.
set(fuzz_targets data_frames control_messages evaluation_sums model_manifest model_parts schema run_file csv)

set(fuzz_folder ${CMAKE_SOURCE_DIR}/tests/fuzz)
add_library(cohort_fuzz STATIC ${fuzz_folder}/fuzz.cc ${fuzz_folder}/frames.cc)
if(COHORT_FUZZ)
  set(sources common/atomic_file common/config common/config_checks
      common/config_named_options common/config_options common/option_builders common/dataset_info
      common/evaluation_sums common/float16 common/group_ranking common/hdf5_file common/json_guard common/model_files common/model_part
      common/nearest common/rate_schedule common/row_hash common/score_sketch common/table_spec common/toml_guard common/types
      common/wire
      prepare/byte_source prepare/csv_reader prepare/schema prepare/toml_table
      scheduler/evaluation scheduler/hazard_metrics scheduler/rank_metrics)
  list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/)
  list(TRANSFORM sources APPEND .cc)
  add_library(cohort_fuzzed STATIC ${sources})
  target_link_libraries(cohort_fuzzed PUBLIC HDF5::HDF5 nlohmann_json::nlohmann_json xxhash ZLIB::ZLIB)
  target_link_libraries(cohort_fuzz PUBLIC cohort_fuzzed)
else()
  target_link_libraries(cohort_fuzz PUBLIC cohort_scheduler cohort_prepare cohort_common HDF5::HDF5)
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
