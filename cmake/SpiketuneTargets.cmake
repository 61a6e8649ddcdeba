# Four libraries, lower floors first:
#   spiketune::host      core, formats, host encoders and kernels
#   spiketune::cuda      CUDA encoders and kernels
#   spiketune::c         the C interface to both
#   spiketune::autotune  datasets, measurement, sweep, reports, baselines

# Headers are included as "spiketune/core/error.hpp" here and where the project is installed.
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/include)
file(CREATE_LINK ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/include/spiketune SYMBOLIC)

# Compiler flags of our own code; not passed on to users.
add_library(spiketune_flags INTERFACE)
set(cxx_warnings -Wall -Wextra -Wpedantic -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND cxx_warnings -Wno-restrict)  # false alarms on std::string, GCC bug 105651
endif()
if(SPIKETUNE_WERROR)
  list(APPEND cxx_warnings -Werror)
  target_compile_options(
    spiketune_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
target_compile_options(
  spiketune_flags
  INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${cxx_warnings}>"
            # As an option: CMake 3.25.1 has no CUDA_STANDARD 20 for nvcc.
            "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra;--expt-relaxed-constexpr;--extended-lambda>")
if(SPIKETUNE_SANITIZE)
  target_compile_options(
    spiketune_flags
    INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  target_link_options(spiketune_flags INTERFACE -fsanitize=address,undefined)
endif()

if(SPIKETUNE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "SPIKETUNE_FUZZ needs clang (-DCMAKE_CXX_COMPILER=clang++-14)")
  endif()
  target_compile_options(spiketune_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=fuzzer-no-link>")
endif()

function(spiketune_library name)
  add_library(spiketune_${name} ${ARGN})
  add_library(spiketune::${name} ALIAS spiketune_${name})
  set_target_properties(spiketune_${name} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON
                                                     VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_compile_features(spiketune_${name} PUBLIC cxx_std_20)
  target_include_directories(
    spiketune_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(spiketune_${name} PRIVATE $<BUILD_INTERFACE:spiketune_flags>)
endfunction()

# Sources are found by folder: adding a format touches no build file.
file(GLOB host_sources CONFIGURE_DEPENDS core/*.cpp core/host/*.cpp formats/*.cpp encoders/*.cpp
     encoders/host/*.cpp kernels/*.cpp kernels/host/*.cpp)
spiketune_library(host ${host_sources})
target_link_libraries(spiketune_host PRIVATE OpenMP::OpenMP_CXX)
# Neurons must fire as they do on CUDA, whatever the processor: no fused multiply-adds.
set_source_files_properties(encoders/host/lif.cpp kernels/host/lif_gradient.cpp kernels/host/spmm_lif.cpp
                            PROPERTIES COMPILE_OPTIONS -ffp-contract=off)

# For C and what calls it. As a shared library it shows the functions of c/spiketune.h and nothing else.
include(GenerateExportHeader)
spiketune_library(c c/spiketune.cpp c/encoded.cpp c/memory.cpp)
set_target_properties(spiketune_c PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
set(SPIKETUNE_EXPORT_HEADER ${PROJECT_BINARY_DIR}/generated/c/spiketune_export.h)
generate_export_header(spiketune_c BASE_NAME spiketune EXPORT_MACRO_NAME SPIKETUNE_API
                       EXPORT_FILE_NAME ${SPIKETUNE_EXPORT_HEADER})
target_include_directories(spiketune_c PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated/c>)
target_link_libraries(spiketune_c PRIVATE spiketune_host $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
if(BUILD_SHARED_LIBS)
  # Without what the standard library's templates leave visible.
  target_link_options(spiketune_c PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/c/spiketune.map)
else()
  target_compile_definitions(spiketune_c PUBLIC SPIKETUNE_STATIC_DEFINE)
endif()

file(GLOB autotune_sources CONFIGURE_DEPENDS datasets/*.cpp datasets/host/*.cpp datasets/readers/*.cpp autotune/*.cpp
     autotune/host/*.cpp kernels/baselines/host/*.cpp)
if(SPIKETUNE_HAVE_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS core/cuda/*.cpp core/cuda/*.cu encoders/cuda/*.cu kernels/cuda/*.cu
       kernels/cuda/sm90/*.cu)
  spiketune_library(cuda ${cuda_sources})
  target_link_libraries(spiketune_cuda PUBLIC spiketune_host CUDA::cudart_static)
  target_compile_definitions(spiketune_c PRIVATE SPIKETUNE_HAVE_CUDA=1)
  target_link_libraries(spiketune_c PRIVATE spiketune_cuda)
  file(GLOB autotune_cuda_sources CONFIGURE_DEPENDS datasets/cuda/*.cu autotune/cuda/*.cpp
       autotune/cuda/*.cu kernels/baselines/cuda/*.cpp)
  list(APPEND autotune_sources ${autotune_cuda_sources})
endif()

spiketune_library(autotune ${autotune_sources})
target_link_libraries(
  spiketune_autotune
  PUBLIC spiketune_host nlohmann_json::nlohmann_json
  PRIVATE fmt::fmt OpenMP::OpenMP_CXX Threads::Threads ${CMAKE_DL_LIBS} $<BUILD_INTERFACE:${SPIKETUNE_LIBZIP}>
          $<INSTALL_INTERFACE:zip> $<BUILD_INTERFACE:ZLIB::ZLIB> $<INSTALL_INTERFACE:z>)

execute_process(COMMAND git describe --always --dirty --abbrev=12
                WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} OUTPUT_VARIABLE SPIKETUNE_GIT
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
# On the one file that reads it, so that a commit does not compile everything anew.
set_property(SOURCE ${PROJECT_SOURCE_DIR}/autotune/environment.cpp
             PROPERTY COMPILE_DEFINITIONS SPIKETUNE_GIT="${SPIKETUNE_GIT}" SPIKETUNE_VERSION="${PROJECT_VERSION}")
# Made anew when such a source changes, so that a plan cache never passes for one of this build.
file(GLOB_RECURSE timed_sources CONFIGURE_DEPENDS core/*.?pp formats/*.?pp encoders/*.?pp encoders/*.cu*
     kernels/*.?pp kernels/*.cu*)
set(source_hash ${PROJECT_BINARY_DIR}/source_hash.inc)
add_custom_command(
  OUTPUT ${source_hash}
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DOUT=${source_hash}
          -P ${PROJECT_SOURCE_DIR}/cmake/SpiketuneSourceHash.cmake
  DEPENDS ${timed_sources} ${PROJECT_SOURCE_DIR}/cmake/SpiketuneSourceHash.cmake
          ${PROJECT_SOURCE_DIR}/scripts/source_hash.sh
  VERBATIM)
target_sources(spiketune_autotune PRIVATE ${source_hash})
set_property(
  SOURCE ${PROJECT_SOURCE_DIR}/autotune/environment.cpp
  APPEND PROPERTY COMPILE_DEFINITIONS SPIKETUNE_SOURCE_HASH_FILE="${source_hash}")
set_property(SOURCE ${PROJECT_SOURCE_DIR}/autotune/environment.cpp APPEND PROPERTY OBJECT_DEPENDS ${source_hash})
target_compile_definitions(
  spiketune_autotune PRIVATE
                             SPIKETUNE_REPORT_ASSETS_DIR="${PROJECT_SOURCE_DIR}/autotune")
if(SPIKETUNE_VEGA_JS)
  target_compile_definitions(spiketune_autotune PRIVATE SPIKETUNE_VEGA_JS="${SPIKETUNE_VEGA_JS}")
endif()
file(GLOB page_assets CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/autotune/report_*.html
     ${PROJECT_SOURCE_DIR}/autotune/report_*.css ${PROJECT_SOURCE_DIR}/autotune/report_*.js)
set_property(
  SOURCE ${PROJECT_SOURCE_DIR}/autotune/embedded_assets.cpp
  APPEND PROPERTY OBJECT_DEPENDS ${page_assets} ${PROJECT_SOURCE_DIR}/results/h200/plans.json ${SPIKETUNE_VEGA_JS})
if(hdf5_FOUND)
  target_compile_definitions(spiketune_autotune PRIVATE SPIKETUNE_HAVE_HDF5=1)
  target_link_libraries(spiketune_autotune PRIVATE $<BUILD_INTERFACE:PkgConfig::hdf5>
                                                   $<INSTALL_INTERFACE:${hdf5_LINK_LIBRARIES}>)
endif()
if(lz4_FOUND AND zstd_FOUND AND SPIKETUNE_FLATBUFFERS_DIR AND SPIKETUNE_FLATC)
  set(schema ${PROJECT_SOURCE_DIR}/datasets/readers/aedat4.fbs)
  set(generated_dir ${PROJECT_BINARY_DIR}/generated)
  add_custom_command(
    OUTPUT ${generated_dir}/aedat4_generated.h
    COMMAND ${SPIKETUNE_FLATC} --cpp -o ${generated_dir} ${schema}
    DEPENDS ${schema}
    VERBATIM)
  target_sources(spiketune_autotune PRIVATE ${generated_dir}/aedat4_generated.h)
  target_include_directories(spiketune_autotune SYSTEM PRIVATE ${generated_dir} ${SPIKETUNE_FLATBUFFERS_DIR})
  target_compile_definitions(spiketune_autotune PRIVATE SPIKETUNE_HAVE_AEDAT4=1)
  target_link_libraries(spiketune_autotune PRIVATE $<BUILD_INTERFACE:PkgConfig::lz4> $<INSTALL_INTERFACE:lz4>
                                                   $<BUILD_INTERFACE:PkgConfig::zstd> $<INSTALL_INTERFACE:zstd>)
endif()
target_link_libraries(spiketune_autotune PRIVATE $<BUILD_INTERFACE:Eigen3::Eigen>)
if(openblas_FOUND)
  target_compile_definitions(spiketune_autotune PRIVATE SPIKETUNE_HAVE_OPENBLAS=1)
  target_link_libraries(spiketune_autotune PRIVATE $<BUILD_INTERFACE:PkgConfig::openblas>
                                                   $<INSTALL_INTERFACE:openblas>)
endif()
if(SPIKETUNE_HAVE_CUDA)
  target_compile_definitions(spiketune_autotune PUBLIC SPIKETUNE_HAVE_CUDA=1)
  target_link_libraries(spiketune_autotune PUBLIC spiketune_cuda PRIVATE CUDA::cublasLt CUDA::cusparse)
endif()
