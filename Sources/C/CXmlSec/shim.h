// SPDX-License-Identifier: Apache-2.0
// What Swift cannot call: macros of libxml2 and xmlsec1, and what is written with them.
#pragma once
// As pkg-config has it: the layout of xmlsec's structures depends on these.
#define __XMLSEC_FUNCTION__ __func__
#define XMLSEC_NO_SIZE_T
#define XMLSEC_OPENSSL3_ENGINES 1
#define XMLSEC_NO_GOST 1
#define XMLSEC_NO_GOST2012 1
#define XMLSEC_NO_CRYPTO_DYNAMIC_LOADING 1
#define XMLSEC_CRYPTO_OPENSSL 1
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <xmlsec/xmlsec.h>
#include <xmlsec/xmltree.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/transforms.h>
#include <xmlsec/keys.h>
#include <xmlsec/errors.h>
#include <xmlsec/openssl/app.h>
#include <xmlsec/crypto.h>
#include <xmlsec/openssl/crypto.h>

static inline void cxmlsec_quiet(void *context, const char *message, ...)
{
    (void)context;
    (void)message;
}

// Once per process, before any thread uses it.
static inline int cxmlsec_init(void)
{
    xmlInitParser();
    if (xmlSecInit() < 0 || xmlSecOpenSSLAppInit(NULL) < 0 || xmlSecOpenSSLInit() < 0)
        return -1;
    xmlSecErrorsDefaultCallbackEnableOutput(0);
    return 0;
}

// No network, no external subset, no replacement of entities, and libxml2's own limits.
static inline xmlDocPtr cxmlsec_parse(const char *bytes, int count)
{
    xmlSetGenericErrorFunc(NULL, cxmlsec_quiet);
    return xmlReadMemory(bytes, count, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static inline void cxmlsec_free_text(xmlChar *text) { xmlFree(text); }

static inline int cxmlsec_enable(xmlSecDSigCtxPtr context, int sha1)
{
    int status = 0;
    status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformEnvelopedId);
    status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformExclC14NId);
    status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformSha256Id);
    status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformSha384Id);
    status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformSha512Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformExclC14NId);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformRsaSha256Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformRsaSha384Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformRsaSha512Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformEcdsaSha256Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformEcdsaSha384Id);
    status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformEcdsaSha512Id);
    if (sha1) {
        status |= xmlSecDSigCtxEnableReferenceTransform(context, xmlSecTransformSha1Id);
        status |= xmlSecDSigCtxEnableSignatureTransform(context, xmlSecTransformRsaSha1Id);
    }
    return status;
}

// Whether the key of the certificate (PEM) made the signature; what the signature says about its key is not read.
static inline int cxmlsec_verify(xmlNodePtr signature, const unsigned char *certificate, unsigned int count, int sha1)
{
    int valid = 0;
    xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
    if (context == NULL)
        return 0;
    context->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
    context->signKey = xmlSecOpenSSLAppKeyLoadMemory(certificate, count, xmlSecKeyDataFormatCertPem, NULL, NULL, NULL);
    if (context->signKey != NULL && cxmlsec_enable(context, sha1) == 0 &&
        xmlSecDSigCtxVerify(context, signature) == 0)
        valid = context->status == xmlSecDSigStatusSucceeded &&
                xmlSecPtrListGetSize(&(context->signedInfoReferences)) == 1;
    xmlSecDSigCtxDestroy(context);
    return valid;
}

// Fills in the template of a signature; 0 when it worked.
static inline int cxmlsec_sign(xmlNodePtr signature, const unsigned char *key, unsigned int key_count,
                               const unsigned char *certificate, unsigned int certificate_count)
{
    int status = -1;
    xmlSecDSigCtxPtr context = xmlSecDSigCtxCreate(NULL);
    if (context == NULL)
        return -1;
    context->signKey = xmlSecOpenSSLAppKeyLoadMemory(key, key_count, xmlSecKeyDataFormatPem, NULL, NULL, NULL);
    if (context->signKey != NULL &&
        xmlSecOpenSSLAppKeyCertLoadMemory(context->signKey, certificate, certificate_count, xmlSecKeyDataFormatPem) == 0)
        status = xmlSecDSigCtxSign(context, signature);
    xmlSecDSigCtxDestroy(context);
    return status;
}
