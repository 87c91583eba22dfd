// SPDX-License-Identifier: Apache-2.0
// librabbitmq with its variadic login, its unions and its waits put behind plain calls. Each answers NULL when it went
// well, else a reason that stands until the connection's next call.
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

typedef struct {
    amqp_connection_state_t state;
    uint64_t published;
    long milliseconds;
    char reason[512];
} crabbitmq;

typedef struct {
    const char *host;
    int port;
    const char *user, *password, *vhost;
    bool secure, checks_name;
    const char *authorities, *certificate, *key;
} crabbitmq_place;

static inline const char *crabbitmq_say(crabbitmq *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->reason, sizeof self->reason, format, arguments);
    va_end(arguments);
    return self->reason;
}

static inline const char *crabbitmq_status(crabbitmq *self, int status)
{
    return status == AMQP_STATUS_OK ? NULL : crabbitmq_say(self, "%s", amqp_error_string2(status));
}

static inline const char *crabbitmq_method(crabbitmq *self, const amqp_method_t *method)
{
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        amqp_connection_close_t *close = (amqp_connection_close_t *)method->decoded;
        return crabbitmq_say(
            self, "%u %.*s", close->reply_code, (int)close->reply_text.len, (char *)close->reply_text.bytes);
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *close = (amqp_channel_close_t *)method->decoded;
        return crabbitmq_say(
            self, "%u %.*s", close->reply_code, (int)close->reply_text.len, (char *)close->reply_text.bytes);
    }
    return crabbitmq_say(self, "%s, which was not expected", amqp_method_name(method->id));
}

static inline const char *crabbitmq_reply(crabbitmq *self, amqp_rpc_reply_t reply)
{
    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL: return NULL;
    case AMQP_RESPONSE_LIBRARY_EXCEPTION: return crabbitmq_status(self, reply.library_error);
    case AMQP_RESPONSE_SERVER_EXCEPTION: return crabbitmq_method(self, &reply.reply);
    default: return crabbitmq_say(self, "no answer");
    }
}

static inline void crabbitmq_close(crabbitmq *self)
{
    if (!self) return;
    if (self->state) amqp_destroy_connection(self->state);
    free(self);
}

// Connects, logs in, opens a channel and has it confirm what is published on it. Nothing takes longer than so many
// milliseconds.
static inline const char *crabbitmq_open(crabbitmq *self, const crabbitmq_place *place, long milliseconds)
{
    struct timeval patience = { milliseconds / 1000, (milliseconds % 1000) * 1000 };
    amqp_socket_t *socket;
    const char *reason;
    int status;
    self->milliseconds = milliseconds;
    self->state = amqp_new_connection();
    if (!self->state) return crabbitmq_say(self, "no memory");
    amqp_set_handshake_timeout(self->state, &patience);
    amqp_set_rpc_timeout(self->state, &patience);
    if (place->secure) {
        // The program's own OpenSSL is set up by OpenSSL itself.
        amqp_set_initialize_ssl_library(0);
        socket = amqp_ssl_socket_new(self->state);
        if (!socket) return crabbitmq_say(self, "no TLS socket");
        amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
        amqp_ssl_socket_set_verify_peer(socket, place->authorities != NULL);
        amqp_ssl_socket_set_verify_hostname(socket, place->authorities != NULL && place->checks_name);
        if (place->authorities && amqp_ssl_socket_set_cacert(socket, place->authorities) != AMQP_STATUS_OK)
            return crabbitmq_say(self, "%s cannot be read", place->authorities);
        if (place->certificate && place->key
            && amqp_ssl_socket_set_key(socket, place->certificate, place->key) != AMQP_STATUS_OK)
            return crabbitmq_say(self, "%s and %s cannot be used", place->certificate, place->key);
    } else {
        socket = amqp_tcp_socket_new(self->state);
        if (!socket) return crabbitmq_say(self, "no socket");
    }
    status = amqp_socket_open_noblock(socket, place->host, place->port, &patience);
    if (status != AMQP_STATUS_OK) return crabbitmq_status(self, status);
    reason = crabbitmq_reply(
        self, amqp_login(
                  self->state, place->vhost, AMQP_DEFAULT_MAX_CHANNELS, AMQP_DEFAULT_FRAME_SIZE, 0,
                  AMQP_SASL_METHOD_PLAIN, place->user, place->password));
    if (reason) return reason;
    amqp_channel_open(self->state, 1);
    if ((reason = crabbitmq_reply(self, amqp_get_rpc_reply(self->state)))) return reason;
    amqp_confirm_select(self->state, 1);
    return crabbitmq_reply(self, amqp_get_rpc_reply(self->state));
}

// A topic exchange, and a queue bound to it under its own name, so that what nobody listens to yet is kept.
static inline const char *crabbitmq_declare(
    crabbitmq *self, const char *exchange, const char *queue, bool durable, bool deletes_itself, bool is_quorum)
{
    amqp_bytes_t from = amqp_cstring_bytes(exchange), to = amqp_cstring_bytes(queue);
    amqp_table_entry_t kind;
    amqp_table_t arguments = amqp_empty_table;
    const char *reason;
    amqp_exchange_declare(
        self->state, 1, from, amqp_cstring_bytes("topic"), 0, durable, deletes_itself, 0, amqp_empty_table);
    if ((reason = crabbitmq_reply(self, amqp_get_rpc_reply(self->state)))) return reason;
    if (is_quorum) {
        kind.key = amqp_cstring_bytes("x-queue-type");
        kind.value.kind = AMQP_FIELD_KIND_UTF8;
        kind.value.value.bytes = amqp_cstring_bytes("quorum");
        arguments.num_entries = 1;
        arguments.entries = &kind;
    }
    amqp_queue_declare(self->state, 1, to, 0, durable, 0, deletes_itself, arguments);
    if ((reason = crabbitmq_reply(self, amqp_get_rpc_reply(self->state)))) return reason;
    amqp_queue_bind(self->state, 1, to, from, to, amqp_empty_table);
    reason = crabbitmq_reply(self, amqp_get_rpc_reply(self->state));
    amqp_maybe_release_buffers(self->state);
    return reason;
}

// Publishes a JSON text and waits until the broker says that it has it.
static inline const char *crabbitmq_publish(
    crabbitmq *self, const char *exchange, const char *key, const void *bytes, size_t length)
{
    amqp_basic_properties_t properties;
    amqp_bytes_t body = { length, (void *)bytes };
    struct timespec start, now;
    int status;
    memset(&properties, 0, sizeof properties);
    properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_CONTENT_ENCODING_FLAG
        | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_PRIORITY_FLAG;
    properties.content_type = amqp_cstring_bytes("application/json");
    properties.content_encoding = amqp_cstring_bytes("utf-8");
    properties.delivery_mode = 2;
    properties.priority = 0;
    status = amqp_basic_publish(
        self->state, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0, &properties, body);
    if (status != AMQP_STATUS_OK) return crabbitmq_status(self, status);
    self->published += 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        amqp_frame_t frame;
        long spent, rest;
        struct timeval patience;
        clock_gettime(CLOCK_MONOTONIC, &now);
        spent = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
        rest = self->milliseconds - spent;
        if (rest <= 0) return crabbitmq_say(self, "no confirmation in %ld ms", self->milliseconds);
        patience.tv_sec = rest / 1000;
        patience.tv_usec = (rest % 1000) * 1000;
        amqp_maybe_release_buffers(self->state);
        status = amqp_simple_wait_frame_noblock(self->state, &frame, &patience);
        if (status == AMQP_STATUS_TIMEOUT) continue;
        if (status != AMQP_STATUS_OK) return crabbitmq_status(self, status);
        if (frame.frame_type != AMQP_FRAME_METHOD) continue;
        if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
            amqp_basic_ack_t *ack = (amqp_basic_ack_t *)frame.payload.method.decoded;
            if (ack->delivery_tag >= self->published) return NULL;
        } else if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
            return crabbitmq_say(self, "the broker refused it");
        } else {
            return crabbitmq_method(self, &frame.payload.method);
        }
    }
}
