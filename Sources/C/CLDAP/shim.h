// SPDX-License-Identifier: Apache-2.0
// libldap with its untyped options given types, and a search that pages.
#pragma once
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <ldap.h>

static inline int cldap_set_number(LDAP *handle, int option, int value)
{
    return ldap_set_option(handle, option, &value);
}
static inline int cldap_set_text(LDAP *handle, int option, const char *value)
{
    return ldap_set_option(handle, option, value);
}
static inline int cldap_set_flag(LDAP *handle, int option, int value)
{
    return ldap_set_option(handle, option, value ? LDAP_OPT_ON : LDAP_OPT_OFF);
}
static inline int cldap_set_timeout(LDAP *handle, int option, long milliseconds)
{
    struct timeval time = { milliseconds / 1000, (milliseconds % 1000) * 1000 };
    return ldap_set_option(handle, option, &time);
}
// A simple bind; ldap_sasl_bind_s with no mechanism is how it is spelled.
static inline int cldap_bind(LDAP *handle, const char *name, const char *password, size_t length)
{
    struct berval credentials = { length, (char *)password };
    return ldap_sasl_bind_s(handle, name, LDAP_SASL_SIMPLE, &credentials, NULL, NULL, NULL);
}
// What the server said beside the code; to be freed with ldap_memfree. May be null.
static inline char *cldap_diagnostic(LDAP *handle)
{
    char *text = NULL;
    ldap_get_option(handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    return text;
}
// One page of a search (RFC 2696); `cookie` carries on from page to page and is empty after the last. A page size of
// zero asks for everything at once.
static inline int cldap_search(
    LDAP *handle, const char *base, int scope, const char *filter, char **attributes, int page_size,
    struct berval *cookie, long milliseconds, LDAPMessage **result)
{
    struct timeval time = { milliseconds / 1000, (milliseconds % 1000) * 1000 };
    LDAPControl *page = NULL, *asked[2] = { NULL, NULL }, **answered = NULL;
    int code = LDAP_SUCCESS;
    if (page_size > 0) {
        code = ldap_create_page_control(handle, page_size, cookie->bv_len ? cookie : NULL, 1, &page);
        if (code != LDAP_SUCCESS) return code;
        asked[0] = page;
    }
    code = ldap_search_ext_s(
        handle, base, scope, filter, attributes, 0, page ? asked : NULL, NULL, &time, LDAP_NO_LIMIT, result);
    if (page) ldap_control_free(page);
    if (cookie->bv_val) free(cookie->bv_val);
    cookie->bv_val = NULL;
    cookie->bv_len = 0;
    if (code != LDAP_SUCCESS || page_size <= 0) return code;
    if (ldap_parse_result(handle, *result, NULL, NULL, NULL, NULL, &answered, 0) == LDAP_SUCCESS && answered) {
        LDAPControl *found = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, NULL);
        struct berval next = { 0, NULL };
        ber_int_t estimate = 0;
        if (found && ldap_parse_pageresponse_control(handle, found, &estimate, &next) == LDAP_SUCCESS) {
            if (next.bv_len && (cookie->bv_val = malloc(next.bv_len))) {
                memcpy(cookie->bv_val, next.bv_val, next.bv_len);
                cookie->bv_len = next.bv_len;
            }
            if (next.bv_val) ber_memfree(next.bv_val);
        }
        ldap_controls_free(answered);
    }
    return code;
}
