# `cmake --install`: the programs, man pages and completion as they say them themselves, documents and examples; and the Debian package
# of the same (launch/package; docs/install.md).
include(GNUInstallDirs)

# `cohort train` starts the roles from its own folder.
install(TARGETS cohort cohort-scheduler cohort-server cohort-worker)

# One source with --help: the program that has just been installed writes its pages.
install(CODE "
  set(root \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  set(man \"\${root}/${CMAKE_INSTALL_MANDIR}/man1\")
  set(completions \"\${root}/${CMAKE_INSTALL_DATADIR}/bash-completion/completions\")
  file(MAKE_DIRECTORY \"\${man}\" \"\${completions}\")
  set(cohort \"\${root}/${CMAKE_INSTALL_BINDIR}/cohort\")
  execute_process(COMMAND \"\${cohort}\" man \"\${man}\" COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND \"\${cohort}\" completion bash OUTPUT_FILE \"\${completions}/cohort\" COMMAND_ERROR_IS_FATAL ANY)")

install(FILES README.md TYPE DOC)
install(DIRECTORY docs TYPE DOC)
install(FILES LICENSE TYPE DOC RENAME copyright)
install(DIRECTORY launch/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/cohort USE_SOURCE_PERMISSIONS)
install(DIRECTORY launch/slurm DESTINATION ${CMAKE_INSTALL_DATADIR}/cohort USE_SOURCE_PERMISSIONS)
install(PROGRAMS launch/demo DESTINATION ${CMAKE_INSTALL_DATADIR}/cohort)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "Cohort maintainers <maintainers@cohort.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "parameter servers for the user lifecycle of a shop")
set(CPACK_PACKAGE_DESCRIPTION "Trains multi-task models of a shop's users (acquisition, activation, retention, purchase,
loyalty) on a cluster of parameter servers that MPI launches, scores every user, recommends, and
decides who gets which action. Needs a processor with AVX2.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS openmpi-bin)   # mpirun
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "bash-completion, man-db")
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
include(CPack)
