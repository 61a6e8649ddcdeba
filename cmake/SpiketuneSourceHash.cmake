# Run by the build: writes the hash of the sources that times depend on to OUT, as a C++ string.
execute_process(COMMAND ${SOURCE_DIR}/scripts/source_hash.sh core formats encoders kernels
                OUTPUT_VARIABLE hash OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
if(failed)
  set(hash "")
endif()
string(SUBSTRING "${hash}" 0 16 hash)
file(WRITE ${OUT} "\"${hash}\"\n")
