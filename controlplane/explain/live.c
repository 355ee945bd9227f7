/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/live.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "controlplane/explain/document.h"

int explain_ask(const struct datapath *datapath, const struct decide_packet *packet,
		uint32_t ifindex, struct explain_answer *ret)
{
	struct explain_answer answer = {
		.got = {
			.sport = packet->sport,
			.dport = packet->dport,
			.proto = packet->proto,
			.family = packet->family,
			.local = packet->local,
			.ifindex = packet->local ? 0 : ifindex,
		},
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &answer.got,
		    .data_size_in = sizeof(answer.got), .data_out = &answer.got,
		    .data_size_out = sizeof(answer.got));

	memcpy(answer.got.saddr, packet->saddr.w, sizeof(answer.got.saddr));
	memcpy(answer.got.daddr, packet->daddr.w, sizeof(answer.got.daddr));
	if (bpf_prog_test_run_opts(datapath_program(datapath, DATAPATH_DECIDE), &run))
		return -errno;
	if (run.retval)
		return -EIO;
	if (answer.got.service && bpf_map_lookup_elem(datapath_map(datapath, DATAPATH_identities),
						      &answer.got.service, &answer.identity))
		return -errno;
	if (answer.got.backend && bpf_map_lookup_elem(datapath_map(datapath, DATAPATH_backends),
						      &answer.got.backend, &answer.backend))
		return -errno;
	*ret = answer;
	return 0;
}

/* The place of the answer's backend among the endpoints, or DECIDE_UNKNOWN. */
static size_t find_endpoint(const struct decision *d, const struct explain_answer *answer)
{
	for (size_t i = 0; i < d->n_endpoints; i++) {
		const struct resolved_backend *b = d->endpoints[i].backend;

		if (ip_equal(&b->addr, &answer->backend.addr) && b->port == answer->backend.port)
			return i;
	}
	return DECIDE_UNKNOWN;
}

static bool same_service(const struct decision *d, const struct explain_answer *answer)
{
	const struct sl_identity *identity = &answer->identity;

	if (!d->service)
		return !answer->got.service;
	return !strcmp(identity->namespace_, d->service->namespace_) &&
	       !strcmp(identity->service, d->service->name) &&
	       (!d->port ||
		(!strcmp(identity->port, d->port->name) && identity->proto == d->port->proto &&
		 identity->family == d->port->family));
}

bool explain_agrees(const struct decide_packet *packet, const struct decision *d,
		    const struct explain_answer *answer)
{
	const struct sl_decide *got = &answer->got;
	size_t at;

	if (got->verdict != d->verdict || !same_service(d, answer))
		return false;
	if (d->frontend && got->kind != d->frontend->kind)
		return false;
	if (!d->has_path)
		return true;
	if (got->path != d->path || got->choice != d->choice)
		return false;
	if (d->verdict != SL_NEXT)
		return true;
	at = find_endpoint(d, answer);
	if (at == DECIDE_UNKNOWN)
		return false;
	/* A hash without the source port, or one that memory overrides, is no claim. */
	if (packet->sport && d->chosen != DECIDE_UNKNOWN && d->chosen != at)
		return false;
	return got->masquerade == d->endpoints[at].masquerade;
}

void explain_settle(const struct decide_packet *packet, struct decision *d,
		    const struct explain_answer *answer)
{
	size_t at = find_endpoint(d, answer);
	struct decide_step *step = &d->steps[d->n_steps];
	char text[IP_TEXT_MAX];

	if (!d->has_affinity || d->chosen != DECIDE_UNKNOWN || !packet->sport || packet->local ||
	    at == DECIDE_UNKNOWN)
		return;
	d->chosen = at;
	if (d->n_steps == DECIDE_STEPS_MAX)
		return;
	ip_format_port(&answer->backend.addr, packet->family, answer->backend.port, text);
	snprintf(step->rules, sizeof(step->rules), "S-143");
	snprintf(step->text, sizeof(step->text), "Right now that is %s, %s", text,
		 at == d->pick ? "which is also what the hash picks" : "as remembered");
	d->n_steps++;
}

static json_t *backend_value(const struct explain_answer *answer)
{
	char text[IP_TEXT_MAX];

	if (!answer->got.backend)
		return json_null();
	return json_string(ip_format_port(&answer->backend.addr, answer->backend.family,
					  answer->backend.port, text));
}

static json_t *service_value(const struct explain_answer *answer)
{
	const struct sl_identity *identity = &answer->identity;

	if (!answer->got.service)
		return json_null();
	return json_sprintf("%s/%s%s%s", identity->namespace_, identity->service,
			    identity->port[0] ? ":" : "", identity->port);
}

int explain_add_answer(json_t *document, const struct decide_packet *packet,
		       const struct decision *decision, const struct explain_answer *answer)
{
	const struct sl_decide *got = &answer->got;
	bool forwards = got->verdict == SL_NEXT;
	bool has_path = forwards || got->verdict == SL_DROP_NO_LOCAL ||
			got->verdict == SL_REJECT_NO_ENDPOINTS;
	json_t *said = json_pack("{s:s, s:s?, s:o, s:s?, s:s?, s:o, s:b}", "verdict",
				 explain_verdict(got->verdict), "reason",
				 explain_loss(got->verdict), "service", service_value(answer),
				 "path", has_path ? explain_path(got->path) : NULL, "set",
				 forwards ? explain_choice(SL_PATH_CHOICE(got->choice)) : NULL,
				 "backend", backend_value(answer), "masquerade", got->masquerade);

	if (json_object_set_new(document, "datapath", said) ||
	    json_object_set_new(document, "agrees",
				json_boolean(explain_agrees(packet, decision, answer))))
		return -ENOMEM;
	return 0;
}

static int fail(char error[512], int err, const char *what)
{
	snprintf(error, 512, "explain: %s: %s", what, strerror(-err));
	return err;
}

static bool is_own(const struct world_node *node, const struct decide_packet *packet)
{
	for (size_t i = 0; i < node->n_addresses; i++)
		if (node->addresses[i].family == packet->family &&
		    ip_equal(&node->addresses[i].addr, &packet->saddr))
			return true;
	return ip_is_loopback(&packet->saddr, packet->family);
}

/* Decides again if the maps know better who holds a disputed frontend. */
static int decide_by(struct world *world, const struct decide_packet *packet,
		     const struct explain_answer *answer, struct decision *ret)
{
	int err = decide(&world->decide, packet, ret);

	if (err || !ret->rivals || !answer->got.service)
		return err;
	decision_done(ret);
	world->decide.prefer = &answer->identity;
	return decide(&world->decide, packet, ret);
}

int explain_live(const struct explain_live *live, const struct explain_query *query, json_t **ret,
		 char error[512])
{
	sl_auto(world) world = NULL;
	struct explain_answer answer = { 0 };
	struct decide_packet packet;
	struct decision decision;
	json_t *document = NULL;
	bool seen;
	int err = explain_query_parse(query, &packet, error);

	if (err)
		return err;
	packet.role = live->iface.role;
	packet.pod_traffic = live->iface.pod_traffic;
	if (!packet.iface)
		packet.local = packet.local || is_own(live->node, &packet);
	seen = !packet.iface || packet.local || packet.role != SL_ROLE_NONE;
	if (seen)
		err = explain_ask(live->datapath, &packet, live->ifindex, &answer);
	if (err)
		return fail(error, err, "program sluice_decide");
	err = world_new(live->store, live->node, &packet, &world);
	err = err ?: decide_by(world, &packet, &answer, &decision);
	if (err)
		return fail(error, err, "decision");
	explain_settle(&packet, &decision, &answer);
	err = explain_document(&packet, &decision, "daemon", &document);
	if (seen && !err)
		err = explain_add_answer(document, &packet, &decision, &answer);
	decision_done(&decision);
	if (err) {
		json_decref(document);
		return fail(error, err, "document");
	}
	*ret = document;
	return 0;
}
