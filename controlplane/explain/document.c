/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/explain/document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *explain_verdict(enum sl_verdict verdict)
{
	switch (verdict) {
	case SL_NEXT:
	case SL_FORWARD:
		return "forward";
	case SL_LEAVE:
		return "pass";
	case SL_REJECT_NO_ENDPOINTS:
	case SL_REJECT_UNKNOWN_PORT:
		return "reject";
	default:
		return "drop";
	}
}

const char *explain_loss(enum sl_verdict verdict)
{
	return verdict < SL_LOSS_FIRST ? NULL : sl_verdict_name(verdict);
}

const char *explain_path(uint8_t path)
{
	static const char *const names[SL_PATH_MAX] = {
		[SL_PATH_CLUSTER_POD] = "clusterPod",
		[SL_PATH_CLUSTER] = "cluster",
		[SL_PATH_POD] = "pod",
		[SL_PATH_NODE] = "node",
		[SL_PATH_OUTSIDE] = "outside",
	};

	return path < SL_PATH_MAX ? names[path] : "unknown";
}

const char *explain_choice(uint8_t choice)
{
	static const char *const names[SL_CHOOSE_MAX] = {
		[SL_CHOOSE_CLUSTER] = "cluster",
		[SL_CHOOSE_LOCAL] = "local",
		[SL_CHOOSE_REJECT] = "reject",
		[SL_CHOOSE_DROP] = "drop",
	};

	return choice < SL_CHOOSE_MAX ? names[choice] : "unknown";
}

static const char *kind_name(uint8_t kind)
{
	static const char *const names[SL_KIND_MAX] = {
		[SL_KIND_CLUSTER_IP] = "clusterIP",
		[SL_KIND_NODE_PORT] = "nodePort",
		[SL_KIND_LOAD_BALANCER] = "loadBalancer",
		[SL_KIND_EXTERNAL_IP] = "externalIP",
	};

	return names[kind];
}

static json_t *place(const struct sl_addr *addr, uint8_t family, __be16 port)
{
	char text[IP_TEXT_MAX];

	return json_string(port ? ip_format_port(addr, family, port, text)
				: ip_format(addr, family, text));
}

static json_t *packet_object(const struct decide_packet *p)
{
	return json_pack("{s:o, s:o, s:s, s:s, s:s?, s:b}", "from",
			 place(&p->saddr, p->family, p->sport), "to",
			 place(&p->daddr, p->family, p->dport), "protocol",
			 ip_protocol_name(p->proto), "family", p->family == 4 ? "IPv4" : "IPv6",
			 "interface", p->iface, "local", p->local);
}

static json_t *frontend_object(const struct decide_packet *p, const struct decision *d)
{
	if (!d->frontend)
		return json_null();
	return json_pack("{s:s, s:o}", "kind", kind_name(d->frontend->kind), "address",
			 place(&p->daddr, p->family, p->dport));
}

static json_t *endpoint_list(const struct decision *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_endpoints; i++) {
		const struct decide_endpoint *e = &d->endpoints[i];
		json_t *item = json_pack(
			"{s:o, s:b, s:b, s:b}", "address",
			place(&e->backend->addr, d->port->family, e->backend->port), "local",
			e->backend->local, "snat", e->snat, "chosen", d->chosen == i);

		if (json_array_append_new(list, item)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* "S-110,S-119" as a list. */
static json_t *rule_list(const char *rules)
{
	json_t *list = json_array();

	while (list && *rules) {
		size_t len = strcspn(rules, ",");

		if (json_array_append_new(list, json_stringn(rules, len))) {
			json_decref(list);
			return NULL;
		}
		rules += len + (rules[len] == ',');
	}
	return list;
}

static json_t *step_list(const struct decision *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_steps; i++) {
		json_t *step = json_pack("{s:o, s:s}", "rules", rule_list(d->steps[i].rules),
					 "text", d->steps[i].text);

		if (json_array_append_new(list, step)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static void summarize(const struct decision *d, char *text, size_t size)
{
	char name[DECIDE_NAME_MAX] = "";

	if (d->service)
		decide_name(d->service, d->port, name);
	switch (d->verdict) {
	case SL_NEXT:
		if (d->n_endpoints == 1)
			snprintf(text, size, "goes to the only usable endpoint of %s", name);
		else
			snprintf(text, size, "goes to one of %zu endpoints of %s", d->n_endpoints,
				 name);
		break;
	case SL_LEAVE:
		snprintf(text, size, "no Service's: passed on untouched");
		break;
	case SL_REJECT_NO_ENDPOINTS:
		snprintf(text, size, "rejected: %s has no usable endpoint", name);
		break;
	case SL_REJECT_UNKNOWN_PORT:
		snprintf(text, size, "rejected: %s has no such port", name);
		break;
	case SL_DROP_POLICY:
		snprintf(text, size, "dropped: %s does not allow this source", name);
		break;
	case SL_DROP_NO_LOCAL:
		snprintf(text, size, "dropped: %s has no usable endpoint on this node", name);
		break;
	case SL_DROP_UNALLOCATED:
		snprintf(text, size, "dropped: no Service has this address of a ServiceCIDR");
		break;
	default:
		snprintf(text, size, "dropped");
	}
}

static json_t *set_name(const struct decision *d)
{
	return d->verdict == SL_NEXT ? json_string(explain_choice(SL_PATH_CHOICE(d->choice)))
				     : json_null();
}

/* Whether the source is replaced: for all endpoints alike, or null. */
static json_t *snat_value(const struct decision *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_endpoints; i++)
		n += d->endpoints[i].snat;
	if (d->chosen != DECIDE_UNKNOWN)
		return json_boolean(d->endpoints[d->chosen].snat);
	return n && n < d->n_endpoints ? json_null() : json_boolean(n > 0);
}

int explain_document(const struct decide_packet *p, const struct decision *d, const char *by,
		     json_t **ret)
{
	char name[DECIDE_NAME_MAX], summary[DECIDE_NAME_MAX + 80];
	const struct resolved_backend *chosen =
		d->chosen == DECIDE_UNKNOWN ? NULL : d->endpoints[d->chosen].backend;
	json_t *document;

	summarize(d, summary, sizeof(summary));
	document = json_pack("{s:s, s:s, s:s, s:o, s:s, s:s?, s:s, s:s?, s:o, s:b, s:s?, s:o, s:o, "
			     "s:o, s:o, s:o}",
			     "apiVersion", "sluice.dev/v1", "kind", "Explanation", "by", by,
			     "packet", packet_object(p), "verdict", explain_verdict(d->verdict),
			     "reason", explain_loss(d->verdict), "summary", summary, "service",
			     d->service ? decide_name(d->service, d->port, name) : NULL, "frontend",
			     frontend_object(p, d), "podTraffic", d->pod, "path",
			     d->has_path ? explain_path(d->path) : NULL, "set", set_name(d),
			     "endpoints", endpoint_list(d), "chosen",
			     chosen ? place(&chosen->addr, p->family, chosen->port) : json_null(),
			     "snat", snat_value(d), "steps", step_list(d));
	if (!document)
		return -ENOMEM;
	*ret = document;
	return 0;
}
