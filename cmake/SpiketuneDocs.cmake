# The target `docs`: reference pages of the public headers, and an error for what they get wrong.
find_program(SPIKETUNE_DOXYGEN doxygen DOC "Doxygen 1.9.2 or later")
if(SPIKETUNE_DOXYGEN)
  configure_file(docs/Doxyfile.in ${PROJECT_BINARY_DIR}/Doxyfile @ONLY)
  add_custom_target(
    docs
    COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/docs
    COMMAND ${SPIKETUNE_DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile
    COMMENT "Reference pages in ${PROJECT_BINARY_DIR}/docs/html"
    VERBATIM)
else()
  message(STATUS "No target docs: doxygen is not installed")
endif()
