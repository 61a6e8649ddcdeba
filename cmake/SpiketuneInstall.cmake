include(CMakePackageConfigHelpers)

set(targets spiketune_host spiketune_c spiketune_autotune)
if(SPIKETUNE_HAVE_CUDA)
  list(APPEND targets spiketune_cuda)
endif()
install(TARGETS ${targets} EXPORT spiketune_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(SPIKETUNE_CLI)
  install(TARGETS spiketune_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(NOT CMAKE_CROSSCOMPILING)
    # The program describes itself.
    set(man_page ${PROJECT_BINARY_DIR}/man/spiketune.1)
    set(completions ${PROJECT_BINARY_DIR}/completions)
    add_custom_command(
      OUTPUT ${man_page} ${completions}/spiketune ${completions}/_spiketune ${completions}/spiketune.fish
      COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man ${completions}
      COMMAND spiketune_cli manual > ${man_page}
      COMMAND spiketune_cli completion bash > ${completions}/spiketune
      COMMAND spiketune_cli completion zsh > ${completions}/_spiketune
      COMMAND spiketune_cli completion fish > ${completions}/spiketune.fish
      DEPENDS spiketune_cli
      VERBATIM)
    add_custom_target(spiketune_manual ALL DEPENDS ${man_page})
    install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${completions}/spiketune DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${completions}/_spiketune DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${completions}/spiketune.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  endif()
endif()
install(
  DIRECTORY core formats encoders kernels datasets autotune
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spiketune
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
install(FILES c/spiketune.h ${SPIKETUNE_EXPORT_HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spiketune/c)
install(EXPORT spiketune_targets NAMESPACE spiketune:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)
configure_package_config_file(cmake/spiketune-config.cmake.in ${PROJECT_BINARY_DIR}/spiketune-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/spiketune-config-version.cmake COMPATIBILITY SameMinorVersion)
# Where the libraries are in a folder of the architecture, the prefix is one folder further up.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/spiketune.pc.in ${PROJECT_BINARY_DIR}/spiketune.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/spiketune.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/spiketune-config.cmake ${PROJECT_BINARY_DIR}/spiketune-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)

# cpack -G DEB
set(CPACK_PACKAGE_NAME libspiketune-dev)
set(CPACK_PACKAGE_CONTACT "the authors of spiketune")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "nlohmann-json3-dev, libfmt-dev, libzip-dev")
set(CPACK_STRIP_FILES ON)
include(CPack)
