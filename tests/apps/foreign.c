/* SPDX-License-Identifier: MIT */
/* Makes a TCP socket by the system calls of other architectures that an x86-64 process can use: i386's by
 * its gate, x32's by a bit in the number. Prints what each returned: "made", or the error's number. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define X32_BIT 0x40000000L

static long i386(long nr, long a, long b, long c)
{
    long value;
    __asm__ volatile("int $0x80"
                     : "=a"(value)
                     : "a"(nr), "b"(a), "c"(b), "d"(c)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int)value;
}

static long native(long nr, long a, long b, long c)
{
    long value;
    __asm__ volatile("syscall"
                     : "=a"(value)
                     : "a"(nr), "D"(a), "S"(b), "d"(c)
                     : "memory", "rcx", "r11");
    return value;
}

static void say(const char *what, long value)
{
    if (value >= 0)
        printf("%s made\n", what);
    else
        printf("%s %ld\n", what, -value);
}

int main(void)
{
    static unsigned args[3] __attribute__((aligned(16))) = {AF_INET, SOCK_STREAM, 0};
    say("i386 socket", i386(359, AF_INET, SOCK_STREAM, 0));
    say("i386 socketcall", i386(102, 1, (long)args, 0)); /* linked below 4 GiB: not a PIE */
    say("i386 io_uring_setup", i386(425, 0, 0, 0));
    say("x32 socket", native(41 | X32_BIT, AF_INET, SOCK_STREAM, 0));
    say("socket", native(41, AF_INET, SOCK_STREAM, 0));
    return 0;
}
