/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_HINT_H
#define WR_BASE_HINT_H

/*
 * Hints for the few functions through which nearly every segment goes: where a call itself would cost as much as
 * what it does. They change nothing else, and where size counts (-Os) they are off.
 *
 *     WR_INLINE    a part of the short way that the long way has, too: in both, without a call
 *     WR_APART     a rare part, kept out so that the short way around it needs no registers saved
 */
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__)
#    define WR_INLINE static inline __attribute__((always_inline))
#    define WR_APART  static __attribute__((noinline))
#else
#    define WR_INLINE static inline
#    define WR_APART  static
#endif

#endif
