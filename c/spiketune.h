/**
 * \file
 * spiketune for C, and for languages that call C: spikes into a format, and products of formats.
 *
 * Handles are opaque and freed by their own function, which takes NULL. Functions return a
 * spiketune_status: SPIKETUNE_OK, or a code, and then spiketune_last_error() has the sentence that
 * says what is wrong. Nothing is written to output parameters on an error. Handles may be used from
 * any thread, one thread at a time.
 *
 * All memory passed in belongs to the caller and lies where the context runs: in host memory, or on
 * the context's CUDA device. Device calls are enqueued on the context's stream and do not wait,
 * except where it is said.
 */
#ifndef SPIKETUNE_H
#define SPIKETUNE_H

#include <stddef.h>
#include <stdint.h>

#include "spiketune_export.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a call returns. */
typedef enum spiketune_status {
  SPIKETUNE_OK = 0,
  SPIKETUNE_INVALID_ARGUMENT = 1, /**< shapes, types, names or pointers that do not fit */
  SPIKETUNE_INVALID_VALUE = 2,    /**< a NaN, or a spike that is not of its kind */
  SPIKETUNE_OVERFLOW = 3,         /**< an encoding needs more room than it was given */
  SPIKETUNE_UNSUPPORTED = 4,      /**< valid, but not in this build or on this device */
  SPIKETUNE_OUT_OF_MEMORY = 5,
  SPIKETUNE_CUDA = 6,    /**< a CUDA call failed */
  SPIKETUNE_INTERNAL = 7 /**< a bug in spiketune */
} spiketune_status;

/** Types of elements. Packed types are 32-bit words, the first element in the lowest bits. */
typedef enum spiketune_dtype {
  SPIKETUNE_BIT = 0, /**< rows of ceil(K / 32) words */
  SPIKETUNE_U2 = 1,  /**< rows of ceil(K / 16) words */
  SPIKETUNE_U8 = 2,
  SPIKETUNE_U16 = 3,
  SPIKETUNE_U32 = 4,
  SPIKETUNE_F16 = 6,
  SPIKETUNE_BF16 = 7,
  SPIKETUNE_F32 = 8,
  SPIKETUNE_S8 = 9, /**< of weights */
  SPIKETUNE_S4 = 10 /**< of weights, two to a byte, the first in the low half */
} spiketune_dtype;

/** What values spikes have. */
typedef enum spiketune_kind {
  SPIKETUNE_BINARY = 0,  /**< 0 and 1 */
  SPIKETUNE_GRADED2 = 1, /**< 0 to 3 */
  SPIKETUNE_GRADED = 2   /**< any finite value; f16, bf16 or f32 */
} spiketune_kind;

/** How T x rows vectors become the M = T * rows rows of a matrix. */
typedef enum spiketune_row_order {
  SPIKETUNE_TIME_MAJOR = 0, /**< row t * rows + r */
  SPIKETUNE_TOKEN_MAJOR = 1 /**< row r * T + t */
} spiketune_row_order;

/** Where calls run. */
typedef struct spiketune_context spiketune_context;
/** Spikes in a format, with their memory. */
typedef struct spiketune_encoded spiketune_encoded;

/** A spike tensor [T, rows, K] of the caller's. */
typedef struct spiketune_spikes {
  const void* data;
  uint32_t timesteps;
  uint64_t rows;
  uint32_t k;
  spiketune_dtype storage;
  spiketune_kind kind;
  spiketune_row_order row_order;
} spiketune_spikes;

/** Counts of an encoding. */
typedef struct spiketune_counts {
  uint64_t nnz;   /**< spikes that went in */
  uint64_t lost;  /**< of which a lossy format dropped so many */
  uint64_t bytes; /**< of the arrays, without what is allocated beyond them */
} spiketune_counts;

/** One array of an encoding, in the encoding's memory, for as long as it lives. */
typedef struct spiketune_array {
  const void* data;
  spiketune_dtype type;
  uint64_t size; /**< in elements */
} spiketune_array;

/** Leaky integrate-and-fire neurons; zeros are no defaults. See encoders/lif.hpp for the equations.
 */
typedef struct spiketune_lif_params {
  float leak; /**< what is left of the membrane after a step: 1 - 1/tau, or beta */
  float gain; /**< of the current */
  float threshold;
  float reset_value; /**< of a hard reset */
  int soft_reset;    /**< not 0: the threshold is subtracted */
  int snntorch; /**< not 0: snnTorch's convention, a reset at the next step; else SpikingJelly's */
} spiketune_lif_params;

/** The sentence of this thread's last error; "" before the first. Valid until its next error. */
SPIKETUNE_API const char* spiketune_last_error(void);

/** Version of the library, 10000 * major + 100 * minor + patch. */
SPIKETUNE_API unsigned spiketune_version(void);

/** A context of the host. threads: 0 for as many as OpenMP offers. */
SPIKETUNE_API spiketune_status spiketune_context_host(int threads, spiketune_context** context);

/**
 * A context of a CUDA device. stream: a cudaStream_t of that device, which outlives the context and
 * its encodings; NULL is the default stream. SPIKETUNE_UNSUPPORTED where there is no such device.
 */
SPIKETUNE_API spiketune_status spiketune_context_cuda(int device, void* stream,
                                                      spiketune_context** context);

/** Frees a context. */
SPIKETUNE_API void spiketune_context_free(spiketune_context* context);

/**
 * Encodes spikes.
 * \param format    "csr", "bitmap", ...: a name that the command `spiketune info` lists
 * \param params    of the format as JSON, "{\"block_size\": 8}", or NULL for its defaults
 * \param order     of the rows of the encoding
 * \param capacity  0: room is made as needed, and the call waits for the device. Else the room in
 *                  the format's units (csr: spikes); nothing waits, and where it is too small
 *                  spiketune_encoded_counts() returns SPIKETUNE_OVERFLOW with the room needed in
 *                  the sentence. T * rows * K always is enough for csr.
 */
SPIKETUNE_API spiketune_status spiketune_encode(const spiketune_context* context,
                                                const char* format, const char* params,
                                                const spiketune_spikes* spikes,
                                                spiketune_row_order order, uint64_t capacity,
                                                spiketune_encoded** encoded);

/** Frees an encoding, in the order of the context's stream. */
SPIKETUNE_API void spiketune_encoded_free(spiketune_encoded* encoded);

/** Counts, and the errors of an encoding that was not waited for. Waits for it the first time. */
SPIKETUNE_API spiketune_status spiketune_encoded_counts(const spiketune_encoded* encoded,
                                                        spiketune_counts* counts);

/**
 * An array by its name: "row_offsets", "column_indices", ... Waits as
 * spiketune_encoded_counts() does.
 */
SPIKETUNE_API spiketune_status spiketune_encoded_array(const spiketune_encoded* encoded,
                                                       const char* name, spiketune_array* array);

/** The spikes again, [T, rows, K], time-major. storage: one that holds the values. */
SPIKETUNE_API spiketune_status spiketune_decode(const spiketune_context* context,
                                                const spiketune_encoded* encoded, void* spikes,
                                                spiketune_dtype storage);

/**
 * Y = S.W, sums in f32.
 * \param weights  [K, N], row-major; f32, f16 or bf16
 * \param output   [M, N], row-major, rows in the order of the encoding; f32 or the type of W
 */
SPIKETUNE_API spiketune_status spiketune_spmm(const spiketune_context* context,
                                              const spiketune_encoded* encoded, const void* weights,
                                              spiketune_dtype weight_type, uint32_t n, void* output,
                                              spiketune_dtype output_type);

/**
 * dW = S^T.dY, the gradient of W, [K, N], row-major, f32; sums in f32, always in the same order.
 * \param encoded   of format bitmap, csr or csc; binary on a CUDA device
 * \param gradient  dY [M, N], row-major, rows in the order of the encoding; f32, f16 or bf16
 */
SPIKETUNE_API spiketune_status spiketune_weight_gradient(const spiketune_context* context,
                                                         const spiketune_encoded* encoded,
                                                         const void* gradient,
                                                         spiketune_dtype gradient_type, uint32_t n,
                                                         float* result);

/**
 * dS = dY.W^T times a surrogate derivative, the gradient of spikes; 0 where the mask has no bit.
 * \param gradient  dY [M, N], row-major; f32, f16 or bf16
 * \param weights   W [K, N], row-major, of dY's type
 * \param mask      [M, ceil(K / 32)] words, column k of a row in bit k % 32 of word k / 32
 * \param values    [M, K], row-major, f32, f16 or bf16; NULL: 1
 * \param result    dS [M, K], row-major; f32 or the type of W
 */
SPIKETUNE_API spiketune_status spiketune_spike_gradient(
    const spiketune_context* context, const void* gradient, const void* weights,
    spiketune_dtype type, uint64_t m, uint32_t k, uint32_t n, const uint32_t* mask,
    const void* values, spiketune_dtype value_type, void* result, spiketune_dtype result_type);

/**
 * Fires neurons over all steps.
 * \param currents  [T, rows, N], time-major; f32, f16 or bf16
 * \param before    membranes [rows, N] before the first step; NULL: at rest
 * \param after     membranes after the last; NULL: not wanted. May be `before`
 * \param spikes    [T, rows, N], time-major, of storage SPIKETUNE_BIT or SPIKETUNE_U8
 */
SPIKETUNE_API spiketune_status spiketune_lif(const spiketune_context* context, const void* currents,
                                             spiketune_dtype current_type, uint32_t timesteps,
                                             uint64_t rows, uint32_t n,
                                             const spiketune_lif_params* params,
                                             const float* before, float* after, void* spikes,
                                             spiketune_dtype storage);

/**
 * A spiking layer in one step: neurons with the currents scale * (S.W) + bias fire into a bitmap
 * [T, rows, N], which the next layer takes as it is. Freed as an encoding.
 * \param encoded  S, of format bitmap, binary
 * \param weights  [K, N], row-major; f16, bf16, s8 or s4, on the host f32 too. On a device N must
 * be a multiple of 8, and arrays aligned to 16 bytes; s8 and s4 are put in order on each call
 * \param scales   [N], of each channel, for s8 and s4 with what an integer of the column stands for
 *                 in it; NULL: `scale` of all
 * \param bias     [N]; NULL: 0
 * \param before   membranes [rows, N] before the first step; NULL: at rest
 * \param after    membranes after the last; NULL: not wanted. May be `before`
 */
SPIKETUNE_API spiketune_status spiketune_spmm_lif(
    const spiketune_context* context, const spiketune_encoded* encoded, const void* weights,
    spiketune_dtype weight_type, uint32_t n, float scale, const float* scales, const float* bias,
    const spiketune_lif_params* params, const float* before, float* after,
    spiketune_row_order order, spiketune_encoded** fired);

#ifdef __cplusplus
}
#endif

#endif
