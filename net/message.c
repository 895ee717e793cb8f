/* SPDX-License-Identifier: Apache-2.0
 *
 * struct message around zmq_msg_t.
 */
#include "net/message.h"

#include <string.h>

#include "net/zmq_util.h"

void yzi_message_fini(struct message *m)
{
    if (m->live) {
        zmq_msg_close(yzi_zmq_msg(m));
    }
    *m = (struct message){0};
}

void yzi_message_move(struct message *to, struct message *from)
{
    YZ_ASSERT(!to->live);
    *to = (struct message){0};
    if (!from->live) {
        return;
    }
    zmq_msg_init(yzi_zmq_msg(to));
    zmq_msg_move(yzi_zmq_msg(to), yzi_zmq_msg(from));
    /* a short message lives inside zmq_msg_t itself, so its address changes with the move */
    to->bytes = yzi_bytes(zmq_msg_data(yzi_zmq_msg(to)), zmq_msg_size(yzi_zmq_msg(to)));
    to->live = true;
    yzi_message_fini(from);
}

int yzi_message_copy(struct message *to, yz_bytes bytes)
{
    struct message m = {0};
    if (zmq_msg_init_size(yzi_zmq_msg(&m), bytes.n) < 0) {
        return YZ_ENOMEM;
    }
    m.live = true;
    if (bytes.n) {
        memcpy(zmq_msg_data(yzi_zmq_msg(&m)), bytes.p, bytes.n);
    }
    m.bytes = yzi_bytes(zmq_msg_data(yzi_zmq_msg(&m)), bytes.n);
    yzi_message_move(to, &m);
    return YZ_OK;
}
