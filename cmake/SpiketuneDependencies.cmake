# find_package first; a pinned source release where that finds nothing.
include(FetchContent)
set(FETCHCONTENT_TRY_FIND_PACKAGE_MODE NEVER)

function(spiketune_dependency package version repository tag)
  find_package(${package} ${version} QUIET)
  if(NOT ${package}_FOUND)
    message(STATUS "${package} not found on this system; fetching ${tag}")
    FetchContent_Declare(${package} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON EXCLUDE_FROM_ALL)
    FetchContent_MakeAvailable(${package})
  endif()
endfunction()

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
set(JSON_BuildTests OFF)
set(JSON_Install ON)
spiketune_dependency(nlohmann_json 3.10 https://github.com/nlohmann/json.git v3.11.2)
set(FMT_INSTALL ON)
spiketune_dependency(fmt 8 https://github.com/fmtlib/fmt.git 9.1.0)
# The planner's linear algebra, and a baseline. Headers only.
set(EIGEN_BUILD_DOC OFF)
set(EIGEN_BUILD_PKGCONFIG OFF)
spiketune_dependency(Eigen3 3.3 https://gitlab.com/libeigen/eigen.git 3.4.0)
if(SPIKETUNE_CLI)
  spiketune_dependency(CLI11 2.1 https://github.com/CLIUtils/CLI11.git v2.1.2)
endif()

# Spike files (.npz). libzip's own configuration on some distributions names programs that are not
# installed with its headers, so pkg-config comes first.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(libzip QUIET IMPORTED_TARGET libzip)
endif()
if(libzip_FOUND)
  set(SPIKETUNE_LIBZIP PkgConfig::libzip)
else()
  set(BUILD_TOOLS OFF)
  set(BUILD_REGRESS OFF)
  set(BUILD_EXAMPLES OFF)
  set(BUILD_DOC OFF)
  spiketune_dependency(libzip 1.7 https://github.com/nih-at/libzip.git v1.9.2)
  set(SPIKETUNE_LIBZIP libzip::zip)
endif()

# Reports packed by gzip; libzip needs it too.
find_package(ZLIB REQUIRED)

# Readers: a file of a kind whose library is not there is refused with the reason. The serial HDF5
# comes first: some systems call the one for MPI plainly hdf5.
if(PkgConfig_FOUND)
  pkg_search_module(hdf5 QUIET IMPORTED_TARGET hdf5-serial hdf5)
  pkg_check_modules(lz4 QUIET IMPORTED_TARGET liblz4)
  pkg_check_modules(zstd QUIET IMPORTED_TARGET libzstd)
endif()
find_path(SPIKETUNE_FLATBUFFERS_DIR flatbuffers/flatbuffers.h DOC "FlatBuffers' headers")
find_program(SPIKETUNE_FLATC flatc DOC "FlatBuffers' compiler")

# Baselines: measured where they are installed, skipped with the reason otherwise.
if(PkgConfig_FOUND)
  pkg_check_modules(openblas QUIET IMPORTED_TARGET openblas)
endif()

# The chart library of the report page, inlined into every page.
find_file(SPIKETUNE_VEGA_JS NAMES vega.min.js
          PATHS /usr/share/javascript/vega /usr/share/nodejs/vega/build DOC "Vega 5, minified")
if(NOT SPIKETUNE_VEGA_JS)  # Debian ships Vega as modules: join them
  find_path(SPIKETUNE_VEGA_MODULES vega-view.min.js PATHS /usr/share/javascript/vega /usr/share/nodejs/vega/build)
  if(SPIKETUNE_VEGA_MODULES)
    execute_process(COMMAND sh ${PROJECT_SOURCE_DIR}/autotune/bundle_vega.sh ${SPIKETUNE_VEGA_MODULES}
                            ${PROJECT_BINARY_DIR}/vega.bundle.js RESULT_VARIABLE failed)
    if(NOT failed)
      set(SPIKETUNE_VEGA_JS ${PROJECT_BINARY_DIR}/vega.bundle.js)
    endif()
  endif()
endif()

if(SPIKETUNE_TESTS)
  spiketune_dependency(GTest 1.12 https://github.com/google/googletest.git release-1.12.1)
endif()
if(SPIKETUNE_BENCH)
  set(BENCHMARK_ENABLE_TESTING OFF)
  spiketune_dependency(benchmark 1.6 https://github.com/google/benchmark.git v1.7.1)
endif()
