// SPDX-License-Identifier: Apache-2.0
// What Swift cannot call: macros.
#pragma once
#include <openssl/ssl.h>
#include <openssl/err.h>

static inline void ctls_prepare(SSL_CTX *context)
{
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    // A buffer that grows moves, and is written from where it then is.
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}
