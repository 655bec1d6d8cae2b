# A test program per folder of tests/: tests/<folder>/*_test.cc -> bin/tests/<folder>_tests
include(GoogleTest)

# GCC 12 with sanitizers takes a member of std::regex for uninitialized (GCC bug 105562).
set(test_warnings "")
if(COHORT_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(test_warnings -Wno-maybe-uninitialized)
endif()

# Its operator new is for the whole program; no caller may see through it.
set_source_files_properties(tests/model/counted_allocations.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

add_custom_target(unit_tests)   # all but the end-to-end tests, which need the programs as well
function(cohort_tests folder label)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${folder}_tests ${sources})
  add_dependencies(unit_tests ${folder}_tests)
  set_target_properties(${folder}_tests PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  target_compile_definitions(${folder}_tests PRIVATE COHORT_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             COHORT_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
  target_compile_options(${folder}_tests PRIVATE ${test_warnings})
  target_link_libraries(${folder}_tests PRIVATE ${ARGN} GTest::gmock GTest::gtest_main)
  target_compile_options(${folder}_tests PRIVATE $<$<CONFIG:Release>:-O1>)   # compiling is what they cost
  gtest_discover_tests(${folder}_tests DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 TEST_PREFIX "${folder}."
                       PROPERTIES LABELS "${label}" TIMEOUT 900)
endfunction()

cohort_tests(common fast cohort_common)
cohort_tests(server fast cohort_server)
cohort_tests(model fast cohort_model)
cohort_tests(worker fast cohort_worker cohort_server cohort_scheduler)
cohort_tests(prepare fast cohort_prepare ZLIB::ZLIB)
cohort_tests(lifecycle fast cohort_lifecycle)
cohort_tests(scheduler fast cohort_scheduler)
cohort_tests(launch fast cohort_bench cohort_watch cohort_launch)
# A command with partitions and faults, which launch_tests run.
add_executable(partition_program ${CMAKE_SOURCE_DIR}/tests/support/partition_program.cc)
set_target_properties(partition_program PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
target_link_libraries(partition_program PRIVATE cohort_launch)
add_dependencies(launch_tests partition_program)
cohort_tests(simulation simulation cohort_server cohort_worker cohort_scheduler)

# End-to-end tests run the programs; each suite is one ctest test (a suite shares what it trained) and has the machine
# to itself.
file(GLOB end_to_end_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/end_to_end/*.cc)
add_executable(end_to_end_tests ${end_to_end_sources})
set_target_properties(end_to_end_tests PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
target_compile_definitions(end_to_end_tests PRIVATE COHORT_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                           COHORT_BIN_DIR="${CMAKE_BINARY_DIR}/bin")
target_link_libraries(end_to_end_tests PRIVATE cohort_common GTest::gmock GTest::gtest_main)
target_compile_options(end_to_end_tests PRIVATE $<$<CONFIG:Release>:-O1>)
function(cohort_end_to_end suite label)
  set(timeout 1200)
  if(COHORT_SANITIZE)
    set(timeout 3600)
  endif()
  add_test(NAME end_to_end.${suite} COMMAND end_to_end_tests --gtest_filter=*${suite}.*:*${suite}/*)
  set_tests_properties(end_to_end.${suite} PROPERTIES LABELS "${label}" PROCESSORS 2 TIMEOUT ${timeout})
endfunction()
cohort_end_to_end(MainJob end-to-end)
cohort_end_to_end(Reproducibility end-to-end)
cohort_end_to_end(Consistency end-to-end)
cohort_end_to_end(Training end-to-end)
cohort_end_to_end(MixedTables end-to-end)
cohort_end_to_end(Hazard end-to-end)
cohort_end_to_end(Termination end-to-end)
cohort_end_to_end(Faults end-to-end)
cohort_end_to_end(Elasticity end-to-end)
cohort_end_to_end(Watch end-to-end)
cohort_end_to_end(Bench end-to-end)
cohort_end_to_end(BadInput end-to-end)
cohort_end_to_end(Inputs end-to-end)
cohort_end_to_end(ShopLogs end-to-end)
cohort_end_to_end(Recommendations end-to-end)
cohort_end_to_end(Explain end-to-end)
cohort_end_to_end(Strategy end-to-end)
cohort_end_to_end(Hosts end-to-end)
cohort_end_to_end(Security end-to-end)
cohort_end_to_end(Erase end-to-end)
cohort_end_to_end(Partitions end-to-end)
cohort_end_to_end(RealData real-data)
