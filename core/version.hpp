#pragma once
/// \file
/// The version of these headers. CMake and the Python package read it from here.

#define SPIKETUNE_VERSION_MAJOR 0
#define SPIKETUNE_VERSION_MINOR 1
#define SPIKETUNE_VERSION_PATCH 0
