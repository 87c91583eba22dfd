// SPDX-License-Identifier: Apache-2.0
// What Swift cannot call: variadic functions.
#pragma once
#include <curl/curl.h>
#include <sys/socket.h>

typedef size_t (*ccurl_write)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode ccurl_set_long(CURL *handle, CURLoption option, long value)
{
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode ccurl_set_size(CURL *handle, CURLoption option, curl_off_t value)
{
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode ccurl_set_text(CURL *handle, CURLoption option, const char *value)
{
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode ccurl_set_list(CURL *handle, CURLoption option, struct curl_slist *value)
{
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode ccurl_set_body(CURL *handle, const void *bytes, curl_off_t count)
{
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, count);
    return curl_easy_setopt(handle, CURLOPT_POSTFIELDS, bytes);
}
static inline CURLcode ccurl_set_writer(CURL *handle, ccurl_write function, void *context)
{
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, function);
    return curl_easy_setopt(handle, CURLOPT_WRITEDATA, context);
}
static inline CURLcode ccurl_set_header_reader(CURL *handle, ccurl_write function, void *context)
{
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, function);
    return curl_easy_setopt(handle, CURLOPT_HEADERDATA, context);
}
static inline long ccurl_status(CURL *handle)
{
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    return status;
}
static inline CURLcode ccurl_set_reader(CURL *handle, ccurl_write function, void *context)
{
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, function);
    return curl_easy_setopt(handle, CURLOPT_READDATA, context);
}
// The next transfer that ended and how; null when there is none.
static inline CURL *ccurl_ended(CURLM *multi, CURLcode *result)
{
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)))
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return message->easy_handle;
        }
    return NULL;
}

// Asked about each address before a connection to it begins; 0 refuses it.
typedef int (*ccurl_judge)(const struct sockaddr *address, void *context);
struct ccurl_gate {
    ccurl_judge judge;
    void *context;
};
static inline curl_socket_t ccurl_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    const struct ccurl_gate *gate = (const struct ccurl_gate *)context;
    (void)purpose;
    if (!gate->judge(&address->addr, gate->context))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}
// The gate must live as long as the handle.
static inline CURLcode ccurl_set_gate(CURL *handle, struct ccurl_gate *gate)
{
    curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, gate);
    return curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, ccurl_open);
}
