/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/ip.h"
#include "controlplane/observe/view_private.h"

int view_fail(char error[VIEW_ERROR_MAX], int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, VIEW_ERROR_MAX, format, args);
	va_end(args);
	return r;
}

int view_no_memory(char error[VIEW_ERROR_MAX])
{
	return view_fail(error, -ENOMEM, "out of memory");
}

int document_set(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) ? -ENOMEM : 0;
}

json_t *document_new(const char *kind)
{
	return json_pack("{s:s, s:s}", "apiVersion", "sluice.dev/v1", "kind", kind);
}

json_t *document_list(const char *kind, json_t *items)
{
	json_t *list = document_new(kind);

	if (!list)
		json_decref(items);
	else if (document_set(list, "items", items)) {
		json_decref(list);
		list = NULL;
	}
	return list;
}

json_t *document_counters(const struct sl_backend_stats *stats)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "connections", (json_int_t)stats->connections,
			 "packets", (json_int_t)stats->packets[SL_FORWARDS], "bytes",
			 (json_int_t)stats->bytes[SL_FORWARDS], "answerPackets",
			 (json_int_t)stats->packets[SL_BACKWARDS], "answerBytes",
			 (json_int_t)stats->bytes[SL_BACKWARDS]);
}

json_t *document_losses(const uint64_t losses[SL_LOSSES])
{
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < SL_LOSSES; i++) {
		if (!losses[i])
			continue;
		if (json_array_append_new(list, json_pack("{s:s, s:I}", "reason",
							  sl_verdict_name(SL_LOSS_FIRST + i),
							  "packets", (json_int_t)losses[i]))) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

json_t *document_service_port(const struct sl_identity *identity)
{
	if (!identity->family)
		return json_null();
	return json_sprintf("%s/%s%s%s", identity->namespace_, identity->service,
			    identity->port[0] ? ":" : "", identity->port);
}

static json_t *backend_sets(uint8_t sets)
{
	static const char *const name[SL_SET_MAX] = {
		[SL_SET_CLUSTER] = "cluster",
		[SL_SET_LOCAL] = "local",
	};
	json_t *list = json_array();

	for (unsigned int i = 0; list && i < SL_SET_MAX; i++)
		if (sets & 1U << i && json_array_append_new(list, json_string(name[i]))) {
			json_decref(list);
			list = NULL;
		}
	return list;
}

json_t *document_backend(const struct snapshot *snapshot, uint32_t id,
			 const struct sl_backend_stats *stats)
{
	static const struct sl_identity nobody;
	const struct sl_backend *backend = &snapshot->backends[id];
	const struct sl_identity *identity = &nobody;
	char address[IP_TEXT_MAX];
	json_t *service = json_null();

	if (backend->service < snapshot->n_services)
		identity = &snapshot->identities[backend->service];
	if (identity->family)
		service = json_sprintf("%s/%s", identity->namespace_, identity->service);
	return json_pack(
		"{s:I, s:o, s:s, s:s?, s:s, s:s, s:s, s:I, s:b, s:o, s:o}", "id", (json_int_t)id,
		"service", service, "port", identity->port, "protocol",
		ip_protocol_name(identity->proto), "family", backend->family == 6 ? "IPv6" : "IPv4",
		"address", ip_format_port(&backend->addr, backend->family, backend->port, address),
		"state", SL_BACKEND_STATE(backend->word) == SL_BACKEND_LIVE ? "live" : "gone",
		"generation", (json_int_t)SL_BACKEND_GENERATION(backend->word), "local",
		!!(backend->flags & SL_BACKEND_LOCAL), "sets",
		backend_sets(SL_BACKEND_SETS(backend->word)), "counters", document_counters(stats));
}
