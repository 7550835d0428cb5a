/* The runner's engine as a C library: what lets Kotlin (by jni.cpp) and Swift (as a system library) run their loops over the real ExecuTorch on Linux.
 *
 * Calls that can fail take room for a sentence and return null or a number other than 0. One session is not for several threads at once. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct latency_session latency_session;

/* A tensor that is given: its elements in the machine's order, which stay the caller's. */
typedef struct {
  const char* dtype; /* "float32", "int32", "int64" or "uint8" */
  const int64_t* shape;
  size_t rank;
  const void* bytes;
  size_t size; /* of bytes */
} latency_tensor;

const char* latency_version(void);

latency_session* latency_open(const char* path, int64_t threads, char* error, size_t room);
int latency_load(latency_session* session, const char* entry, char* error, size_t room);

/* Runs a method that gives so many outputs; they stay until the next run. */
int latency_run(
    latency_session* session, const char* entry, const latency_tensor* inputs, size_t count, size_t outputs, char* error, size_t room);
const void* latency_output(const latency_session* session, size_t place, size_t* size);

void latency_close(latency_session* session);

#ifdef __cplusplus
}
#endif
