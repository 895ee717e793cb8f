/* SPDX-License-Identifier: Apache-2.0
 *
 * Identifiers: percent-encoded segments of 1–100 bytes joined by '/', compared bytewise
 * (docs/protocol.md, "Identifiers"). A node's own segment starts with '@', so that every identifier
 * says what it names:
 *
 *   member     INSTANCE/CLASS/CODE                      CN/GOV/MCA
 *   subsystem  member/SUBSYSTEM                         CN/GOV/MCA/civil
 *   service    subsystem/SERVICE/VERSION                CN/GOV/MCA/civil/marriage/v1
 *   node       member/@CODE, a broker INSTANCE/@CODE    CN/GOV/MCA/@a1, CN/@b1
 *
 * The wrapped views are borrowed: valid as long as the bytes they were parsed from. A parsed id is
 * canonical (yzi_percent_is_canonical per segment); what a segment stands for is UTF-8 without
 * control characters; "." and ".." are no segments. Any thread.
 */
#ifndef YZ_PROTO_ID_H
#define YZ_PROTO_ID_H

#include "base/bytes.h"
#include "proto/limits.h"

typedef struct {
    yz_bytes v;
} yz_member_id;
typedef struct {
    yz_bytes v;
} yz_subsystem_id;
typedef struct {
    yz_bytes v;
} yz_service_id;
typedef struct {
    yz_bytes v;
} yz_node_id;

/* YZ_EMALFORMED when not of the form. */
YZ_MUST_USE int yzi_member_id_parse(yz_bytes text, yz_member_id *out);
YZ_MUST_USE int yzi_subsystem_id_parse(yz_bytes text, yz_subsystem_id *out);
YZ_MUST_USE int yzi_service_id_parse(yz_bytes text, yz_service_id *out);
YZ_MUST_USE int yzi_node_id_parse(yz_bytes text, yz_node_id *out);
/* One canonical segment (codes of subsystems, services, versions; not starting with '@'). */
YZ_MUST_USE int yzi_segment_check(yz_bytes segment);

bool yzi_node_is_broker(yz_node_id n); /* INSTANCE/@CODE */

/* Parts, views into the id. */
yz_bytes yzi_id_instance(yz_bytes id);
yz_member_id yzi_subsystem_member(yz_subsystem_id s);
yz_bytes yzi_subsystem_code(yz_subsystem_id s);
yz_subsystem_id yzi_service_subsystem(yz_service_id s);
yz_bytes yzi_service_code(yz_service_id s);    /* "marriage" */
yz_bytes yzi_service_version(yz_service_id s); /* "v1" */
yz_bytes yzi_service_local(yz_service_id s);   /* "marriage/v1", as grants name it */
yz_member_id yzi_node_member(yz_node_id n);    /* a broker's: {INSTANCE} only, see is_broker */

#endif
