// What every program of a sanitizer build is told by itself, however it is started: by ctest, by a test, by mpirun, by
// hand. (ctest cannot be relied on to hand a list of environment variables on to tests that it discovers.) The sanitizers'
// runtimes call these functions; *_OPTIONS in the environment comes on top.

#ifdef __SANITIZE_ADDRESS__
// Libraries stay loaded, so that a leak of one can be told from a leak of ours: Open MPI unloads its components.
extern "C" __attribute__((used, visibility("default"))) int dlclose(void*) { return 0; }
#endif

extern "C" {

const char* __asan_default_options() {
  return "detect_stack_use_after_return=1:check_initialization_order=1:strict_init_order=1:strict_string_"
         "checks=1";
}
const char* __ubsan_default_options() { return "print_stacktrace=1"; }
const char* __lsan_default_options() { return "print_suppressions=0"; }
const char* __tsan_default_options() { return "second_deadlock_stack=1:print_suppressions=0"; }

// Nothing of our own is listed. Open MPI and what it loads keep what MPI_Init allocated until the process ends. That of the
// thread that calls it is not looked at (launch/mpi_bootstrap.cc); this is for its own threads.
const char* __lsan_default_suppressions() {
  return "leak:libopen-pal.so\n"
         "leak:libopen-rte.so\n"
         "leak:libmpi.so\n"
         "leak:libpmix.so\n"
         "leak:libevent\n"
         "leak:libhwloc.so\n"
         "leak:mca_\n";
}

// What ThreadSanitizer cannot know, because these libraries are not compiled with it. Nothing of our own is listed.
//
// libzmq hands messages from the caller's thread to its I/O thread through lock-free queues (its ypipe.hpp), whose atomic
// operations lie inside the library: every byte handed over looks like a race between the thread that wrote it and the
// I/O thread that sends or frees it. A race between two threads of ours has no frame of libzmq in either stack and is
// reported as ever. (What libzmq itself does with memory is not looked at; the second line is for Buffers of ours that its
// I/O thread lets go.) libsodium opens and seals what libzmq hands it, on that thread. Open MPI's progress threads signal each other in the same way. Its tcp component takes two locks in
// one order when it adds peers and in the other when it removes them; both happen in MPI_Init and MPI_Finalize, one after
// the other, on one thread.
const char* __tsan_default_suppressions() {
  return "called_from_lib:libzmq.so\n"
         "called_from_lib:libsodium.so\n"
         "race:libzmq.so\n"
         "race:libopen-pal.so\n"
         "race:libopen-rte.so\n"
         "race:libmpi.so\n"
         "race:libpmix.so\n"
         "race:libevent\n"
         "deadlock:mca_btl_tcp.so\n";
}

}  // extern "C"
