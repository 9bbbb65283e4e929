/* SPDX-License-Identifier: MIT */
#ifndef WR_BASE_HINT_H
#define WR_BASE_HINT_H

/*
 * Short ways. What nearly every segment needs is done by a short way at the top of a function; the long way behind it
 * does the same for any segment, and so could do without the short one:
 *
 *     if (wr_may_be_short(stack) && is_plain(...))
 *
 * (core/core.h; WR_SHORT_WAYS alone where there is no stack at hand, or where memory that fails, or one turn more of
 * output, is met otherwise.) They are off where size counts (-Os), and in the
 * hardened build, whose tests so hold the long ways to the same results as the short ones, bit for bit; and tests of
 * random traffic bar them in one run of two.
 */
#ifndef WR_SHORT_WAYS
#    if defined(__OPTIMIZE_SIZE__) || defined(WEIR_HARD)
#        define WR_SHORT_WAYS 0
#    else
#        define WR_SHORT_WAYS 1
#    endif
#endif

/*
 * Hints for the few functions through which nearly every segment goes: where a call itself would cost as much as
 * what it does. They change nothing else, and where size counts (-Os) they are off.
 *
 *     WR_INLINE    a part of the short way that the long way has, too: in both, without a call
 *     WR_APART     a rare part, kept out so that the short way around it needs no registers saved
 *     WR_COLD      called where something is amiss: whatever leads to it is laid apart from the code that mostly runs,
 *                  so that a segment passes through fewer cache lines of it
 */
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__)
#    define WR_INLINE static inline __attribute__((always_inline))
#    define WR_APART  static __attribute__((noinline))
#    define WR_COLD   __attribute__((cold))
#else
#    define WR_INLINE static inline
#    define WR_APART  static
#    define WR_COLD
#endif

/* So rarely true that what then happens is laid apart: each frame runs through fewer cache lines of code. */
#if defined(__GNUC__)
#    define WR_SELDOM(condition) __builtin_expect(!!(condition), 0)
#else
#    define WR_SELDOM(condition) (condition)
#endif

/*
 * Lines of an object that will be asked for soon: `from` to `to`, of an object 8 bytes behind the beginning of a line
 * (wr_pool_in_lines()). Only for who has just met the object and knows nothing of what is in a cache: a line that is there
 * costs an instruction. Never a function of its own: GCC 12 takes one that does nothing else for one without an effect,
 * and leaves out its calls.
 */
#if defined(__GNUC__)
#    define WR_FETCH(at) __builtin_prefetch(at)
#else
#    define WR_FETCH(at) ((void)(at))
#endif
#define WR_FETCH_LINES(obj, from, to)                                                              \
    do {                                                                                           \
        for (size_t at_ = (from) + 8; at_ < (to) + 8; at_ = (at_ / 64 + 1) * 64)                   \
            WR_FETCH((const char *)(obj) + at_ - 8);                                               \
    } while (0)

#endif
