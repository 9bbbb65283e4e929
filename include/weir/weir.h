/* SPDX-License-Identifier: MIT */
/* Everything of libweir, the core. The host layer is in host.h, links are in link.h. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/addr.h>
#include <weir/alloc.h>
#include <weir/autoconf.h>
#include <weir/cc.h>
#include <weir/error.h>
#include <weir/event.h>
#include <weir/info.h>
#include <weir/socket.h>
#include <weir/stack.h>
#include <weir/time.h>
#include <weir/trace.h>

#endif
