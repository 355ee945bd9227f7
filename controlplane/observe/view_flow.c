/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Flows. A flow has up to four entries (common/abi.h): an item is made from
 * the forward one where the client's packets come in, answer counters from the
 * reverse one, and the translated source, if it is not there, from the one at
 * the tunnel's egress.
 */

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "common/ip.h"
#include "controlplane/observe/view_private.h"
#include "common/ticks.h"

/* A key or a value of either family. */
struct tuple {
	struct sl_addr saddr, daddr;
	__be16 sport, dport;
	uint8_t proto;
};

/* The tables of one family. */
struct family {
	uint8_t number;
	size_t words;
	struct table established, new_;
};

struct walk {
	const struct view *view;
	struct family family; /* that is being walked */
	bool in_new;
	uint32_t now; /* ticks */
	json_t *items;
	size_t limit;
	bool truncated;
	/* filters */
	const bool *services; /* by id, or NULL */
	uint32_t n_services;
	bool by_client, by_backend;
	struct ip_prefix client;
	struct sl_addr backend;
	uint8_t backend_family;
	__be16 backend_port; /* 0: any */
	char *error;
};

static void tuple_of_key(const void *key, size_t words, struct tuple *ret)
{
	*ret = (struct tuple) { 0 };
	if (words == 1) {
		const struct sl_tuple4 *k = key;

		ret->saddr.w[0] = k->saddr[0];
		ret->daddr.w[0] = k->daddr[0];
		ret->sport = k->sport;
		ret->dport = k->dport;
		ret->proto = k->proto;
	} else {
		const struct sl_tuple6 *k = key;

		memcpy(&ret->saddr, k->saddr, sizeof(ret->saddr));
		memcpy(&ret->daddr, k->daddr, sizeof(ret->daddr));
		ret->sport = k->sport;
		ret->dport = k->dport;
		ret->proto = k->proto;
	}
}

/* What the packets of a flow become. */
static void tuple_of_value(const void *value, size_t words, uint8_t proto, struct tuple *ret)
{
	const struct sl_flow *flow = value;

	*ret = (struct tuple) { .sport = flow->sport, .dport = flow->dport, .proto = proto };
	if (words == 1) {
		const struct sl_flow4 *v = value;

		ret->saddr.w[0] = v->saddr[0];
		ret->daddr.w[0] = v->daddr[0];
	} else {
		const struct sl_flow6 *v = value;

		memcpy(&ret->saddr, v->saddr, sizeof(ret->saddr));
		memcpy(&ret->daddr, v->daddr, sizeof(ret->daddr));
	}
}

union flow_key {
	struct sl_tuple4 v4;
	struct sl_tuple6 v6;
};

union flow_value {
	struct sl_flow f;
	struct sl_flow4 v4;
	struct sl_flow6 v6;
};

static void key_of_tuple(const struct tuple *tuple, size_t words, union flow_key *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (words == 1) {
		ret->v4.saddr[0] = tuple->saddr.w[0];
		ret->v4.daddr[0] = tuple->daddr.w[0];
		ret->v4.sport = tuple->sport;
		ret->v4.dport = tuple->dport;
		ret->v4.proto = tuple->proto;
	} else {
		memcpy(ret->v6.saddr, &tuple->saddr, sizeof(ret->v6.saddr));
		memcpy(ret->v6.daddr, &tuple->daddr, sizeof(ret->v6.daddr));
		ret->v6.sport = tuple->sport;
		ret->v6.dport = tuple->dport;
		ret->v6.proto = tuple->proto;
	}
}

/* Looks in the table of the walk first, then in the other one. */
static bool find(const struct walk *walk, const struct tuple *tuple, uint8_t mask, uint8_t flags,
		 union flow_value *ret)
{
	const struct table *tables[] = {
		walk->in_new ? &walk->family.new_ : &walk->family.established,
		walk->in_new ? &walk->family.established : &walk->family.new_,
	};
	union flow_key key;

	key_of_tuple(tuple, walk->family.words, &key);
	for (size_t i = 0; i < SL_COUNT(tables); i++)
		if (!bpf_map_lookup_elem(tables[i]->fd, &key, ret) &&
		    (ret->f.flags & mask) == flags)
			return true;
	return false;
}

static json_int_t seconds_since(const struct walk *walk, uint32_t ticks)
{
	if (walk->now <= ticks)
		return 0;
	return (json_int_t)(((uint64_t)(walk->now - ticks) << SL_TICK_SHIFT) / 1000000000U);
}

static const char *state_name(uint8_t state)
{
	static const char *const name[SL_FLOW_STATE_MAX] = {
		[SL_FLOW_NEW] = "new",
		[SL_FLOW_ESTABLISHED] = "established",
		[SL_FLOW_CLOSING] = "closing",
		[SL_FLOW_CLOSED] = "closed",
	};

	return state < SL_FLOW_STATE_MAX && name[state] ? name[state] : "unknown";
}

static const char *forward_name(uint8_t forward)
{
	static const char *const name[] = {
		[SL_TO_STACK] = "stack",
		[SL_REDIRECT] = "redirect",
		[SL_HAIRPIN] = "hairpin",
	};

	return forward < SL_COUNT(name) ? name[forward] : "unknown";
}

static json_t *service_of(const struct walk *walk, uint32_t id)
{
	struct sl_identity identity;

	if (bpf_map_lookup_elem(walk->view->fd[DATAPATH_identities], &id, &identity))
		return json_null();
	identity.namespace_[sizeof(identity.namespace_) - 1] = 0;
	identity.service[sizeof(identity.service) - 1] = 0;
	identity.port[sizeof(identity.port) - 1] = 0;
	return document_service_port(&identity);
}

static const char *end_text(const struct walk *walk, const struct sl_addr *addr, __be16 port,
			    char text[IP_TEXT_MAX])
{
	return ip_format_port(addr, walk->family.number, port, text);
}

static bool same_source(const struct tuple *a, const struct tuple *b)
{
	return ip_equal(&a->saddr, &b->saddr) && a->sport == b->sport;
}

static int append(struct walk *walk, const struct tuple *key, const struct tuple *to,
		  const union flow_value *value)
{
	const struct sl_flow *flow = &value->f;
	struct tuple source = *to;
	const struct tuple answer = {
		.saddr = to->daddr,
		.daddr = to->saddr,
		.sport = to->dport,
		.dport = to->sport,
		.proto = to->proto,
	};
	union flow_value other;
	char client[IP_TEXT_MAX], frontend[IP_TEXT_MAX], backend[IP_TEXT_MAX];
	uint64_t packets = 0, bytes = 0;
	json_t *item;
	int r = 0;

	if (find(walk, &answer, SL_FLOW_REVERSE, SL_FLOW_REVERSE, &other)) {
		packets = other.f.packets;
		bytes = other.f.bytes;
	}
	if (same_source(to, key) &&
	    find(walk, to, SL_FLOW_REVERSE | SL_FLOW_EGRESS, SL_FLOW_EGRESS, &other))
		tuple_of_value(&other, walk->family.words, key->proto, &source);

	item = json_pack("{s:s, s:s, s:s}", "client",
			 end_text(walk, &key->saddr, key->sport, client), "frontend",
			 end_text(walk, &key->daddr, key->dport, frontend), "backend",
			 end_text(walk, &to->daddr, to->dport, backend));
	if (item && !same_source(&source, key))
		r = document_set(item, "source",
				 json_string(end_text(walk, &source.saddr, source.sport, client)));
	if (!item || r ||
	    json_object_update_new(
		    item, json_pack("{s:s?, s:o, s:I, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}",
				    "protocol", ip_protocol_name(key->proto), "service",
				    service_of(walk, flow->service), "backendId",
				    (json_int_t)flow->backend, "state", state_name(flow->state),
				    "forward", forward_name(flow->forward), "table",
				    walk->in_new ? "new" : "established", "idle",
				    seconds_since(walk, flow->seen), "age",
				    seconds_since(walk, flow->opened), "packets",
				    (json_int_t)flow->packets, "bytes", (json_int_t)flow->bytes,
				    "answerPackets", (json_int_t)packets, "answerBytes",
				    (json_int_t)bytes))) {
		json_decref(item);
		return view_no_memory(walk->error);
	}
	return json_array_append_new(walk->items, item) ? view_no_memory(walk->error) : 0;
}

static bool wanted(const struct walk *walk, const struct tuple *key, const struct tuple *to,
		   const struct sl_flow *flow)
{
	uint8_t family = walk->family.number;

	if (walk->services && (flow->service >= walk->n_services || !walk->services[flow->service]))
		return false;
	if (walk->by_client && !ip_prefix_has(&walk->client, &key->saddr, family))
		return false;
	if (!walk->by_backend)
		return true;
	return walk->backend_family == family && ip_equal(&walk->backend, &to->daddr) &&
	       (!walk->backend_port || walk->backend_port == to->dport);
}

/* A promoted flow is left in `new` until it ages out: it is listed once. */
static bool promoted(const struct walk *walk, const void *key, const struct sl_flow *flow)
{
	union flow_value other;

	return walk->in_new && !bpf_map_lookup_elem(walk->family.established.fd, key, &other) &&
	       other.f.opened >= flow->opened;
}

static int visit(void *walk_, const void *key_, const void *value_)
{
	struct walk *walk = walk_;
	union flow_value value;
	struct tuple key, to;

	memset(&value, 0, sizeof(value));
	memcpy(&value, value_, walk->family.established.value_size);
	if (value.f.flags & (SL_FLOW_REVERSE | SL_FLOW_EGRESS))
		return 0;
	tuple_of_key(key_, walk->family.words, &key);
	tuple_of_value(&value, walk->family.words, key.proto, &to);
	if (!wanted(walk, &key, &to, &value.f) || promoted(walk, key_, &value.f))
		return 0;
	if (json_array_size(walk->items) == walk->limit) {
		walk->truncated = true;
		return 1;
	}
	return append(walk, &key, &to, &value);
}

static int walk_family(struct walk *walk, uint8_t number)
{
	const bool v4 = number == 4;
	size_t key_size = v4 ? sizeof(struct sl_tuple4) : sizeof(struct sl_tuple6);
	size_t value_size = v4 ? sizeof(struct sl_flow4) : sizeof(struct sl_flow6);
	struct family *family = &walk->family;
	int r;

	family->number = number;
	family->words = v4 ? 1 : 4;
	r = view_table(walk->view, v4 ? DATAPATH_established4 : DATAPATH_established6, key_size,
		       value_size, &family->established, walk->error);
	if (!r)
		r = view_table(walk->view, v4 ? DATAPATH_new4 : DATAPATH_new6, key_size, value_size,
			       &family->new_, walk->error);
	if (!r) {
		walk->in_new = false;
		r = view_each(&family->established, visit, walk, walk->error);
	}
	if (!r) {
		walk->in_new = true;
		r = view_each(&family->new_, visit, walk, walk->error);
	}
	return r;
}

static int parse_client(struct walk *walk, const char *text)
{
	int family;

	if (!text)
		return 0;
	walk->by_client = true;
	if (!ip_prefix_parse(text, &walk->client))
		return 0;
	family = ip_parse(text, &walk->client.addr);
	if (family < 0)
		return view_fail(walk->error, -EINVAL, "client: \"%s\" is no address or prefix",
				 text);
	walk->client.family = (uint8_t)family;
	walk->client.len = family == 4 ? 32 : 128;
	return 0;
}

/* "address", "address:port" or "[address]:port" */
static int parse_backend(struct walk *walk, const char *text)
{
	char copy[IP_TEXT_MAX + 8], *address = copy, *colon, *end;
	unsigned long port;
	int family;

	if (!text)
		return 0;
	walk->by_backend = true;
	family = ip_parse(text, &walk->backend);
	if (family < 0 && strlen(text) < sizeof(copy)) {
		strcpy(copy, text);
		colon = strrchr(copy, ':');
		if (colon && colon > copy && copy[0] == '[' && colon[-1] == ']') {
			colon[-1] = 0;
			address++;
		}
		if (colon && colon[1] >= '0' && colon[1] <= '9') {
			*colon = 0;
			port = strtoul(colon + 1, &end, 10);
			if (!*end && port > 0 && port <= 65535)
				family = ip_parse(address, &walk->backend);
			walk->backend_port = htons((uint16_t)port);
		}
	}
	if (family < 0)
		return view_fail(walk->error, -EINVAL,
				 "backend: \"%s\" is no address and no address:port", text);
	walk->backend_family = (uint8_t)family;
	return 0;
}

/* Ids of the Service's ports: also of one that was removed, for its flows. */
static int parse_service(struct walk *walk, const char *text, bool **ret)
{
	sl_auto_mem struct sl_identity *identities = NULL;
	sl_auto_mem bool *services = NULL;
	const char *slash = text ? strchr(text, '/') : NULL, *colon;
	size_t namespace_len, name_len;
	struct table table;
	bool any = false;
	void *memory;
	int r;

	if (!text)
		return 0;
	colon = slash ? strchr(slash, ':') : NULL;
	name_len = !slash ? 0 : colon ? (size_t)(colon - slash - 1) : strlen(slash + 1);
	if (!slash || slash == text || !name_len)
		return view_fail(walk->error, -EINVAL,
				 "service: \"%s\" is not namespace/name or namespace/name:port",
				 text);
	namespace_len = (size_t)(slash - text);
	r = view_table(walk->view, DATAPATH_identities, 4, sizeof(struct sl_identity), &table,
		       walk->error);
	if (!r)
		r = view_array_all(&table, &memory, walk->error);
	if (r)
		return r;
	identities = memory;
	services = calloc(table.max_entries, sizeof(*services));
	if (!services)
		return view_no_memory(walk->error);
	for (uint32_t id = 0; id < table.max_entries; id++) {
		struct sl_identity *identity = &identities[id];

		identity->namespace_[sizeof(identity->namespace_) - 1] = 0;
		identity->service[sizeof(identity->service) - 1] = 0;
		identity->port[sizeof(identity->port) - 1] = 0;
		services[id] = identity->family && strlen(identity->namespace_) == namespace_len &&
			       !strncmp(identity->namespace_, text, namespace_len) &&
			       strlen(identity->service) == name_len &&
			       !strncmp(identity->service, slash + 1, name_len) &&
			       (!colon || !strcmp(identity->port, colon + 1));
		any |= services[id];
	}
	if (!any)
		return view_fail(walk->error, -ENOENT, "service %s is not programmed", text);
	walk->n_services = table.max_entries;
	walk->services = services;
	*ret = sl_take(services);
	return 0;
}

int view_flows(const struct view *view, const struct view_flow_filter *filter, json_t **ret,
	       char error[512])
{
	sl_auto_mem bool *services = NULL;
	struct walk walk = {
		.view = view,
		.now = ticks_now(),
		.limit = filter->limit,
		.error = error,
	};
	json_t *list;
	int r;

	if (!filter->limit || filter->limit > VIEW_FLOWS_MAX)
		return view_fail(error, -EINVAL, "limit: %zu is not 1 to %d", filter->limit,
				 VIEW_FLOWS_MAX);
	r = parse_client(&walk, filter->client);
	if (!r)
		r = parse_backend(&walk, filter->backend);
	if (!r)
		r = parse_service(&walk, filter->service, &services);
	if (r)
		return r;
	walk.items = json_array();
	if (!walk.items)
		return view_no_memory(error);
	r = walk_family(&walk, 4);
	if (!r)
		r = walk_family(&walk, 6);
	if (r < 0) {
		json_decref(walk.items);
		return r;
	}
	list = document_list("FlowList", walk.items);
	if (!list || document_set(list, "truncated", json_boolean(walk.truncated))) {
		json_decref(list);
		return view_no_memory(error);
	}
	*ret = list;
	return 0;
}
