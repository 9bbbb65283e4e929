/* SPDX-License-Identifier: MIT */
#ifndef DRILL_DR_CONTROL_H
#define DRILL_DR_CONTROL_H

/* Control messages of recvmsg(), as Linux lays them out. */

#include <sys/socket.h>

#include "drill/dr_table.h"

/* recvmsg(MSG_ERRQUEUE): takes the socket's oldest note. `shift` is what turns the stack's time into
 * that of the program. 0, or WEIR_EAGAIN when there is none; the message is untouched then. */
int wr_dr_control_error(struct msghdr *msg, struct dr_table *table, const struct dr_fd *fd,
                        weir_time shift);
/* Any other recvmsg() that gave data: sets the flags and the control messages, which are TCP_CM_INQ
 * if TCP_INQ is set. */
void wr_dr_control_data(struct msghdr *msg, struct dr_table *table, const struct dr_fd *fd,
                        weir_time now);

#endif
