/* SPDX-License-Identifier: MIT */
#ifndef WR_W_ERR_H
#define WR_W_ERR_H

/*
 * What a parser answers. W_OK is 0; everything else says why the bytes are not what they claim to
 * be, and the output is then unspecified. Callers map it to a drop reason of their layer.
 */

enum w_err {
    W_OK = 0,
    W_SHORT,   /* fewer bytes than the fixed header */
    W_VERSION, /* IP version field is another */
    W_HDRLEN,  /* header length below the minimum or past the packet */
    W_LENGTH,  /* a length field contradicts the bytes that are there */
    W_CSUM,    /* checksum wrong */
    W_OPTION,  /* malformed option */
    W_FIELD,   /* a field holds a value that the RFC forbids */
    W_ADDR,    /* an address that may not stand there */
    W_CHAIN,   /* extension headers: too many, or in a forbidden order */
};

/* A short lower-case text, as in "bad checksum". Static. */
const char *wr_w_err_text(enum w_err err);

#endif
