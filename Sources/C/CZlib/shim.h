// SPDX-License-Identifier: Apache-2.0
// What Swift cannot call: macros.
#pragma once
#include <zlib.h>

static inline int czlib_inflate_begin(z_stream *stream, int window_bits)
{
    return inflateInit2(stream, window_bits);
}
