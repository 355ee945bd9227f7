/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/notices.h"

#include <stdio.h>
#include <string.h>

#define NOTE_MAX 1024

static void tell_service(const struct notices *notices, struct event event)
{
	static const struct object_uid none;
	struct store_service found;

	event.kind = "Service";
	if (memcmp(&event.uid, &none, sizeof(none)) == 0 &&
	    store_find(notices->store, event.namespace_, event.name, &found))
		event.uid = found.service->uid;
	events_emit(notices->events, &event);
}

static void tell_node(const struct notices *notices, struct event event)
{
	event.kind = "Node";
	event.name = notices->node_name;
	events_emit(notices->events, &event);
}

void notices_started(const struct notices *notices)
{
	tell_node(notices, (struct event) {
				   .type = EVENT_NORMAL,
				   .reason = "Starting",
				   .action = "StartSluice",
				   .note = "sluiced " SLUICE_VERSION,
			   });
}

void notices_pressure(const struct notices *notices, const json_t *fills)
{
	char note[512] = "BPF maps of sluice are nearly full:";
	size_t i, len = strlen(note), empty = len;
	const json_t *fill;

	json_array_foreach (fills, i, fill) {
		if (json_is_true(json_object_get(fill, "nearlyFull")) && len < sizeof(note))
			len += (size_t)snprintf(
				note + len, sizeof(note) - len, " %s %lld of %lld",
				json_string_value(json_object_get(fill, "name")),
				json_integer_value(json_object_get(fill, "entries")),
				json_integer_value(json_object_get(fill, "maxEntries")));
	}
	if (len > empty)
		tell_node(notices, (struct event) {
					   .type = EVENT_WARNING,
					   .reason = "MapNearlyFull",
					   .action = "Program",
					   .note = note,
				   });
}

void notices_wrong(void *context, const struct store_wrong *wrong)
{
	char note[NOTE_MAX];

	snprintf(note, sizeof(note), "%s%s", wrong->what,
		 wrong->refused ? "; what was known of it stays" : "");
	tell_service(context, (struct event) {
				      .namespace_ = wrong->namespace_,
				      .name = wrong->name,
				      .uid = wrong->uid,
				      .type = EVENT_WARNING,
				      .reason = wrong->refused ? "ServiceRefused" : "FieldIgnored",
				      .action = "Read",
				      .note = note,
			      });
}

void notices_conflict(void *context, const struct tables_conflict *conflict)
{
	char note[NOTE_MAX];

	snprintf(note, sizeof(note),
		 "%s is held by Service %s/%s, which came first and keeps it; this Service gets it "
		 "when that one gives it up",
		 conflict->frontend, conflict->holder_namespace, conflict->holder_name);
	tell_service(context, (struct event) {
				      .namespace_ = conflict->namespace_,
				      .name = conflict->name,
				      .type = EVENT_WARNING,
				      .reason = "FrontendConflict",
				      .action = "Program",
				      .note = note,
			      });
}

void notices_settled(void *context, const struct store_service *service, const char *why)
{
	char note[NOTE_MAX];

	snprintf(note, sizeof(note),
		 why ? "%s; what was programmed before stays, and it is tried again"
		     : "what could not be programmed is in force now",
		 why);
	tell_service(context, (struct event) {
				      .namespace_ = service->namespace_,
				      .name = service->name,
				      .uid = service->service->uid,
				      .type = why ? EVENT_WARNING : EVENT_NORMAL,
				      .reason = why ? "FailedToProgram" : "Programmed",
				      .ends = why ? "Programmed" : "FailedToProgram",
				      .action = "Program",
				      .note = note,
			      });
}

void notices_check_failed(void *context, const char *namespace_, const char *name,
			  const char *message)
{
	tell_service(context, (struct event) {
				      .namespace_ = namespace_,
				      .name = name,
				      .type = EVENT_WARNING,
				      .reason = "FailedToStartServiceHealthcheck",
				      .action = "Listen",
				      .note = message,
			      });
}
