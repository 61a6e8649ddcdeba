#pragma once
/// \file
/// The one macro of the project: marks functions that host and device code share.

#if defined(__CUDACC__)
#define SPIKETUNE_HD __host__ __device__
#else
#define SPIKETUNE_HD
#endif
