# The model's float kernels, one source compiled for each instruction set (worker/model/kernels.h). They are optimized
# in every build: register tiles that are not unrolled are hundreds of times slower. GCC 12 takes the undefined
# pass-through operand inside its own AVX-512 intrinsics for an uninitialized variable (GCC bug 105593).
set_source_files_properties(worker/model/kernels_avx2.cc PROPERTIES
  COMPILE_OPTIONS "-march=x86-64-v3;-O3" OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/worker/model/kernels_impl.inc)
set_source_files_properties(worker/model/kernels_avx512.cc PROPERTIES
  COMPILE_OPTIONS "-march=x86-64-v4;-mprefer-vector-width=512;-O3;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>"
  OBJECT_DEPENDS ${CMAKE_SOURCE_DIR}/worker/model/kernels_impl.inc)
set_source_files_properties(worker/model/kernels_avx512_bf16.cc PROPERTIES
  COMPILE_OPTIONS "-march=x86-64-v4;-mavx512bf16;-mprefer-vector-width=512;-O3;$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>")

# bin/gemm_bench: our products beside Eigen's and OpenBLAS's (serial variant), and a whole training step. Built on
# request only.
find_package(benchmark QUIET)
find_path(OPENBLAS_INCLUDE cblas.h PATH_SUFFIXES openblas-serial)
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-serial)
if(benchmark_FOUND AND OPENBLAS_INCLUDE AND OPENBLAS_LIBRARY AND EXISTS /usr/include/eigen3)
  add_executable(gemm_bench EXCLUDE_FROM_ALL tests/bench/gemm_bench.cc)
  target_compile_options(gemm_bench PRIVATE -march=native -Wno-maybe-uninitialized)   # Eigen at its best
  target_link_libraries(gemm_bench PRIVATE cohort_model benchmark::benchmark ${OPENBLAS_LIBRARY})
endif()
