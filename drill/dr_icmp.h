/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_ICMP_H
#define DRILL_DR_ICMP_H

/* packetdrill's names of ICMP types and codes. */

#include <stdbool.h>
#include <stdint.h>

/* False when the family knows no such type, or the type no such code. code_name NULL: code 0. */
bool wr_dr_icmp_type(bool v6, const char *name, uint8_t *type);
bool wr_dr_icmp_code(bool v6, uint8_t type, const char *name, uint8_t *code);

#endif
