/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reads fields of a JSON object and, when one is not as it should be, says
 * which: the tools that the parsers of the kinds share (private to store/).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controlplane/store/object.h"

/* The object in hand, and the line that tells what is wrong with it. */
struct reader {
	const char *kind;
	const char *namespace_; /* NULL: a kind without namespaces */
	const char *name;	/* NULL while not known */
	char *error;		/* OBJECT_ERROR_MAX bytes */
	unsigned int notes;
};

/*
 * A value inside the object. Fields refer to the ones around them, up to the
 * object itself, which has no key; they live on the caller's stack.
 */
struct field {
	const struct field *parent;
	const char *key; /* NULL: element `index` of the parent */
	size_t index;
	const json_t *json; /* NULL when absent or null (S-286) */
};

/* A bare member, whatever its type. The parent is an object or absent. */
struct field field_of(const struct field *parent, const char *key);

/* Element `index` of a list that field_list() gave. */
struct field field_at(const struct field *list, size_t index);

/*
 * Typed members. An absent one is 0 or "" or empty; another type is told and
 * gives -EINVAL.
 */
int field_object(struct reader *reader, const struct field *parent, const char *key,
		 struct field *ret);
int field_list(struct reader *reader, const struct field *parent, const char *key,
	       struct field *ret, size_t *ret_n);
int field_string(struct reader *reader, const struct field *parent, const char *key,
		 const char **ret);
/* `*ret` keeps its value when the member is absent. */
int field_bool(struct reader *reader, const struct field *parent, const char *key, bool *ret);
/* `*ret` keeps its value when the member is absent. */
int field_int(struct reader *reader, const struct field *parent, const char *key, long long min,
	      long long max, long long *ret);

/* Checks that an element is an object, or a string. */
int element_object(struct reader *reader, const struct field *element);
int element_string(struct reader *reader, const struct field *element, const char **ret);

/* Says why the object is refused. Returns -EINVAL. */
int reader_refuse(struct reader *reader, const struct field *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Says what is skipped: the first line stays, further ones are counted. */
void reader_note(struct reader *reader, const struct field *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Begins to read an object: checks metadata, and gives name and, where
 * `namespaced`, namespace ("default" when absent, as kubectl does). All are
 * valid as long as the JSON is.
 */
int reader_begin(struct reader *reader, const char *kind, bool namespaced, const json_t *json,
		 char error[OBJECT_ERROR_MAX], struct field *ret_root, struct field *ret_metadata);

/* metadata.resourceVersion, 0 if it is no number. */
uint64_t reader_version(const struct field *metadata);

/* Ends a successful read: completes the line about what was skipped. */
void reader_end(struct reader *reader);

/* The value of a label, "" when it is absent. */
int reader_label(struct reader *reader, const struct field *metadata, const char *label,
		 const char **ret);

/*
 * Refuses a name that is longer than a DNS label, which the tables could not
 * hold.
 */
int reader_name_fits(struct reader *reader, const struct field *field, const char *name);

/* Reads an address; one that is none is told as skipped, and false returned. */
bool reader_address(struct reader *reader, const struct field *field, const char *text,
		    struct object_address *ret);

/*
 * Reads a list of CIDRs into a new array, which is the caller's also when this
 * fails. One that is none is told as skipped.
 */
int reader_prefixes(struct reader *reader, const struct field *parent, const char *key,
		    struct ip_prefix **ret, size_t *ret_n);

/* Says that memory ran out. Returns -ENOMEM. */
int reader_no_memory(struct reader *reader);

/* Interns `text`; the caller gives it back. */
int reader_intern(struct reader *reader, const char *text, const char **ret);

/* The protocol member of a port, TCP when absent. */
int reader_protocol(struct reader *reader, const struct field *port, uint8_t *ret);
