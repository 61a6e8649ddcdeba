#pragma once
/// \file
/// The registers of a warpgroup's sums, as the wrappers of wgmma list them.

// clang-format off
/// Names in the text of an instruction.
#define SPIKETUNE_SUM_NAMES_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SPIKETUNE_SUM_NAMES_64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SPIKETUNE_SUM_NAMES_96 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
/// Elements of `d` as operands that are read and written; `kind` is "+f" or "+r".
#define SPIKETUNE_SUMS_8(kind, d, i) \
  kind(d[(i)]), kind(d[(i) + 1]), kind(d[(i) + 2]), kind(d[(i) + 3]), \
  kind(d[(i) + 4]), kind(d[(i) + 5]), kind(d[(i) + 6]), kind(d[(i) + 7])
#define SPIKETUNE_SUMS_32(kind, d, i) \
  SPIKETUNE_SUMS_8(kind, d, i), SPIKETUNE_SUMS_8(kind, d, (i) + 8), \
  SPIKETUNE_SUMS_8(kind, d, (i) + 16), SPIKETUNE_SUMS_8(kind, d, (i) + 24)
#define SPIKETUNE_SUMS_64(kind, d) SPIKETUNE_SUMS_32(kind, d, 0), SPIKETUNE_SUMS_32(kind, d, 32)
#define SPIKETUNE_SUMS_96(kind, d) SPIKETUNE_SUMS_64(kind, d), SPIKETUNE_SUMS_32(kind, d, 64)
// clang-format on
