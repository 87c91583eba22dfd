// SPDX-License-Identifier: Apache-2.0
// libFuzzer's driver (compiler-rt), callable from a program with a main of its own.
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nullable *_Nonnull argv,
                        int (*_Nonnull one)(const uint8_t *_Nullable data, size_t size));
