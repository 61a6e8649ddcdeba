/* From C: neurons fire, their spikes are encoded and multiplied. */

#include <inttypes.h>
#include <spiketune/c/spiketune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { T = 4, ROWS = 32, K = 96, N = 8 };

static void check(spiketune_status status) {
  if (status == SPIKETUNE_OK) return;
  fprintf(stderr, "spiketune: %s\n", spiketune_last_error());
  exit(1);
}

int main(void) {
  static float currents[T * ROWS * K], weights[K * N], y[T * ROWS * N];
  static float gradient[K * N], spike_gradient[T * ROWS * K];
  static uint32_t mask[T * ROWS * K / 32];
  static uint8_t fired[T * ROWS * K];
  unsigned random = 1;
  int i, row, k, n;
  for (i = 0; i < T * ROWS * K; ++i) {
    random = random * 1664525u + 1013904223u;
    currents[i] = (float)(random >> 16) / 32768.0f;
  }
  for (i = 0; i < K * N; ++i) weights[i] = (float)(i % 9 - 4);

  spiketune_context* context = NULL;
  check(spiketune_context_host(0, &context));
  const spiketune_lif_params neurons = {0.5f, 0.5f, 1.0f, 0.0f, 0, 0};
  check(spiketune_lif(context, currents, SPIKETUNE_F32, T, ROWS, K, &neurons, NULL, NULL, fired,
                      SPIKETUNE_U8));

  const spiketune_spikes spikes = {
      fired, T, ROWS, K, SPIKETUNE_U8, SPIKETUNE_BINARY, SPIKETUNE_TIME_MAJOR};
  spiketune_encoded* csr = NULL;
  check(spiketune_encode(context, "csr", NULL, &spikes, SPIKETUNE_TIME_MAJOR, 0, &csr));
  spiketune_counts counts;
  check(spiketune_encoded_counts(csr, &counts));
  check(spiketune_spmm(context, csr, weights, SPIKETUNE_F32, N, y, SPIKETUNE_F32));

  for (row = 0; row < T * ROWS; ++row) {
    for (n = 0; n < N; ++n) {
      float expected = 0.0f;
      for (k = 0; k < K; ++k) expected += (float)fired[row * K + k] * weights[k * N + n];
      if (y[row * N + n] != expected) {
        fprintf(stderr, "row %d, column %d: %g, not %g\n", row, n, (double)y[row * N + n],
                (double)expected);
        return 1;
      }
    }
  }
  /* Training: Y's gradient is Y itself; that of S only where the mask, all of column 0, has a bit.
   */
  for (row = 0; row < T * ROWS; ++row) mask[row * (K / 32)] = 1u;
  check(spiketune_weight_gradient(context, csr, y, SPIKETUNE_F32, N, gradient));
  check(spiketune_spike_gradient(context, y, weights, SPIKETUNE_F32, T * ROWS, K, N, mask, NULL,
                                 SPIKETUNE_F32, spike_gradient, SPIKETUNE_F32));
  for (k = 0; k < K; ++k) {
    float expected = 0.0f;
    for (row = 0; row < T * ROWS; ++row) expected += (float)fired[row * K + k] * y[row * N];
    if (gradient[k * N] != expected || (k > 0 && spike_gradient[k] != 0.0f)) return 1;
  }
  /* A layer in one step: product and neurons, into the bitmap that a next layer would read. */
  spiketune_encoded *bitmap = NULL, *next = NULL;
  uint8_t in_one_step[T * ROWS * N], in_two[T * ROWS * N];
  check(spiketune_encode(context, "bitmap", NULL, &spikes, SPIKETUNE_TIME_MAJOR, 0, &bitmap));
  check(spiketune_spmm_lif(context, bitmap, weights, SPIKETUNE_F32, N, 1.0f, NULL, NULL, &neurons,
                           NULL, NULL, SPIKETUNE_TIME_MAJOR, &next));
  check(spiketune_decode(context, next, in_one_step, SPIKETUNE_U8));
  check(spiketune_lif(context, y, SPIKETUNE_F32, T, ROWS, N, &neurons, NULL, NULL, in_two,
                      SPIKETUNE_U8));
  if (memcmp(in_one_step, in_two, sizeof in_two) != 0) return 1;
  spiketune_encoded_free(next);
  /* The same of W as integers: here they are what W is. */
  int8_t integers[K * N];
  for (k = 0; k < K * N; ++k) integers[k] = (int8_t)weights[k];
  check(spiketune_spmm_lif(context, bitmap, integers, SPIKETUNE_S8, N, 1.0f, NULL, NULL, &neurons,
                           NULL, NULL, SPIKETUNE_TIME_MAJOR, &next));
  check(spiketune_decode(context, next, in_one_step, SPIKETUNE_U8));
  if (memcmp(in_one_step, in_two, sizeof in_two) != 0) return 1;
  spiketune_encoded_free(next);
  spiketune_encoded_free(bitmap);
  /* Errors are codes, with a sentence. */
  spiketune_encoded* none = NULL;
  if (spiketune_encode(context, "crs", NULL, &spikes, SPIKETUNE_TIME_MAJOR, 0, &none) !=
      SPIKETUNE_INVALID_ARGUMENT) {
    return 1;
  }
  printf("%" PRIu64 " spikes in %" PRIu64 " bytes of csr; %s\n", counts.nnz, counts.bytes,
         spiketune_last_error());
  spiketune_encoded_free(csr);
  spiketune_context_free(context);
  return 0;
}
