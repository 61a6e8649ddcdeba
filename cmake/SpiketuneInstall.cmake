include(CMakePackageConfigHelpers)

set(targets spiketune_host spiketune_autotune)
if(SPIKETUNE_HAVE_CUDA)
  list(APPEND targets spiketune_cuda)
endif()
install(TARGETS ${targets} EXPORT spiketune_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(SPIKETUNE_CLI)
  install(TARGETS spiketune_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(
  DIRECTORY core formats encoders kernels datasets autotune
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/spiketune
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")
install(EXPORT spiketune_targets NAMESPACE spiketune:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)
configure_package_config_file(cmake/spiketune-config.cmake.in ${PROJECT_BINARY_DIR}/spiketune-config.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/spiketune-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/spiketune-config.cmake ${PROJECT_BINARY_DIR}/spiketune-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/spiketune)
