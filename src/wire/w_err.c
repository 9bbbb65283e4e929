/* SPDX-License-Identifier: MIT */
#include "wire/w_err.h"

const char *wr_w_err_text(enum w_err err)
{
    switch (err) {
    case W_OK:
        return "ok";
    case W_SHORT:
        return "truncated";
    case W_VERSION:
        return "bad version";
    case W_HDRLEN:
        return "bad header length";
    case W_LENGTH:
        return "bad length";
    case W_CSUM:
        return "bad checksum";
    case W_OPTION:
        return "bad option";
    case W_FIELD:
        return "bad field";
    case W_ADDR:
        return "bad address";
    case W_CHAIN:
        return "bad header chain";
    }
    return "unknown error";
}
