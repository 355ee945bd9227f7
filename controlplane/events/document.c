/* SPDX-License-Identifier: Apache-2.0 */

#include "controlplane/events/document.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What the API server allows. */
#define NOTE_MAX_BYTES	   1024
#define INSTANCE_MAX_BYTES 128
/* Of the object's name in the event's: 253 bytes hold both parts. */
#define STEM_MAX_BYTES 200

/* Events about what has no namespace are in this one (S-287). */
static const char *namespace_of(const struct event *event)
{
	return event->namespace_ && *event->namespace_ ? event->namespace_ : "default";
}

char *document_path(const struct event *event)
{
	char *path;

	if (asprintf(&path, "/apis/events.k8s.io/v1/namespaces/%s/events", namespace_of(event)) < 0)
		return NULL;
	return path;
}

/* How many bytes of `text` fit `max` without half a character of UTF-8. */
static size_t fitting(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
		len--;
	return len;
}

/* The object's name, a dot and the time: unique and a DNS subdomain. */
static json_t *event_name(const struct event *event, struct timeval when)
{
	int len = (int)fitting(event->name, STEM_MAX_BYTES);

	while (len > 0 && !isalnum((unsigned char)event->name[len - 1]))
		len--;
	return json_sprintf("%.*s.%llx", len, event->name,
			    (unsigned long long)when.tv_sec * 1000000 +
				    (unsigned long long)when.tv_usec);
}

/* The object; kubectl finds a node's events by a uid that is its name. */
static json_t *regarding(const struct event *event)
{
	bool placed = event->namespace_ && *event->namespace_;
	char uid[UID_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "apiVersion", "v1", "kind", event->kind,
			 "name", event->name, "namespace", placed ? event->namespace_ : NULL, "uid",
			 placed ? uid_format(&event->uid, uid) : event->name);
}

/* Quoted texts are cut where their bytes are many, which may be within a character. */
static json_t *note_of(const char *text)
{
	size_t len = fitting(text, NOTE_MAX_BYTES);
	char ascii[NOTE_MAX_BYTES];
	json_t *note = json_stringn(text, len);

	if (note)
		return note;
	for (size_t i = 0; i < len; i++)
		ascii[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	return json_stringn(ascii, len);
}

char *document_text(const struct event *event, const char *node_name, struct timeval when)
{
	char seconds[32], instance[INSTANCE_MAX_BYTES + 1];
	struct tm utc;

	gmtime_r(&when.tv_sec, &utc);
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(instance, sizeof(instance), "sluice-%s", node_name);

	json_t *json = json_pack(
		"{s:s, s:s, s:{s:o, s:s}, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "apiVersion",
		"events.k8s.io/v1", "kind", "Event", "metadata", "name", event_name(event, when),
		"namespace", namespace_of(event), "eventTime",
		json_sprintf("%s.%06ldZ", seconds, (long)when.tv_usec), "type",
		event->type == EVENT_WARNING ? "Warning" : "Normal", "reason", event->reason,
		"action", event->action, "reportingController", "sluice", "reportingInstance",
		instance, "regarding", regarding(event), "note", note_of(event->note));
	char *text = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	return text;
}
