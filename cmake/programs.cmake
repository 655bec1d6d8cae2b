# The programs, in bin/: cohort, and the three roles that mpirun starts.
file(GLOB launch_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/launch/*.cc)
list(FILTER launch_sources EXCLUDE REGEX "(_main|/cohort|/mpi_bootstrap|/place|/greeting)\\.cc$")
add_library(cohort_launch STATIC ${launch_sources})
target_link_libraries(cohort_launch PUBLIC cohort_report cohort_scheduler cohort_server cohort_worker cohort_model cohort_lifecycle
                      cohort_prepare cohort_common)
target_compile_definitions(cohort_launch PRIVATE COHORT_VERSION="${PROJECT_VERSION}")

# `cohort watch`, `cohort top`: the only ones that see httplib.
cohort_library(cohort_watch launch/watch cohort_launch cohort_report cohort_scheduler cohort_common PkgConfig::HTTPLIB)

# `cohort doctor`.
cohort_library(cohort_doctor launch/doctor cohort_launch cohort_model cohort_common)

# `cohort bench`.
cohort_library(cohort_bench launch/bench cohort_launch cohort_scheduler cohort_server cohort_worker cohort_model
               cohort_common PkgConfig::ZMQ)

# `cohort plan`.
cohort_library(cohort_plan launch/plan cohort_bench cohort_report cohort_launch cohort_scheduler cohort_server cohort_worker cohort_model
               cohort_common)

# `cohort scale`, and what `cohort simulate` shares with it.
cohort_library(cohort_scale launch/scale cohort_bench cohort_report cohort_launch cohort_scheduler cohort_prepare cohort_common)

# `cohort simulate`.
cohort_library(cohort_simulate launch/simulate cohort_scale cohort_bench cohort_launch cohort_scheduler cohort_server cohort_worker
               cohort_common)

# The only one that sees MPI, and what finds a role its place through it; the `cohort` program itself does not.
add_library(cohort_bootstrap STATIC ${CMAKE_SOURCE_DIR}/launch/mpi_bootstrap.cc ${CMAKE_SOURCE_DIR}/launch/place.cc
            ${CMAKE_SOURCE_DIR}/launch/greeting.cc)
target_link_libraries(cohort_bootstrap PUBLIC cohort_launch MPI::MPI_C)

foreach(role scheduler server worker)
  add_executable(cohort-${role} ${CMAKE_SOURCE_DIR}/launch/${role}_main.cc)
  target_link_libraries(cohort-${role} PRIVATE cohort_launch cohort_bootstrap)
endforeach()

file(GLOB command_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/launch/commands/*.cc)
add_executable(cohort ${CMAKE_SOURCE_DIR}/launch/cohort.cc ${command_sources})
target_compile_definitions(cohort PRIVATE COHORT_VERSION="${PROJECT_VERSION}")
target_link_libraries(cohort PRIVATE cohort_simulate cohort_scale cohort_plan cohort_bench cohort_doctor cohort_watch cohort_launch
                      cohort_lifecycle cohort_prepare)
# Command lines are parsed once; the time goes into compiling their parser.
target_compile_options(cohort PRIVATE $<$<CONFIG:Release>:-O1>
                       # GCC 12 takes the storage of an expected's error for something on the heap
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-free-nonheap-object>)
# `cohort train` starts the roles from its own folder.
add_dependencies(cohort cohort-scheduler cohort-server cohort-worker)
