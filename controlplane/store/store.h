/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The last known objects, and which Services a change touched.
 *
 * Sources put objects in; sluiced asks for the Services that changed since it
 * last asked and resolves those. Slices are found by namespace and service
 * name, in whatever order they come (S-009, S-012).
 */

#include "controlplane/store/object.h"

struct store;

/* Returns NULL without memory. */
struct store *store_new(void);
void store_free(struct store *store);
SL_DEFINE_AUTO(store)

/*
 * Put an object, replacing the one of its name; the store owns it from here
 * on, also when it fails. Returns 1 if that changes anything, 0 if the object
 * is equal to the one that is there (S-079), or -ENOMEM.
 */
int store_put_service(struct store *store, struct service *service);
int store_put_slice(struct store *store, struct slice *slice);
int store_put_node(struct store *store, struct node *node);
int store_put_service_cidr(struct store *store, struct service_cidr *cidr);

/* Remove an object by name. Returns 1, or 0 if there is none. */
int store_remove(struct store *store, enum object_kind kind, const char *namespace_,
		 const char *name);

/*
 * Counts an object as put, unchanged: what a source says of it can't be used,
 * so the last good one stays though a list is being read. Returns 1, or 0 if
 * there is none.
 */
int store_keep(struct store *store, enum object_kind kind, const char *namespace_,
	       const char *name);

/*
 * A list of a kind begins / is complete: whatever of that kind was not put
 * between the two calls is removed (S-280). An aborted list removes nothing:
 * simply begin again.
 */
void store_list_begin(struct store *store, enum object_kind kind);
/* Returns how many objects were removed. */
size_t store_list_end(struct store *store, enum object_kind kind);

/* True once a list of the kind was completed; never false again. */
bool store_listed(const struct store *store, enum object_kind kind);

/*
 * When the bytes that the next calls stem from were received, in monotonic ns
 * (uv_hrtime()); the latency that lbctl status shows begins there.
 */
void store_received(struct store *store, uint64_t when_ns);

/*
 * A Service that a source could not use, or not all of: `what` names it and the
 * field. Those who put objects tell it, for `wrong` to hear; once for each
 * change of the object.
 */
struct store_wrong {
	const char *namespace_;
	const char *name;
	struct object_uid uid;
	bool refused; /* nothing of it counts: what was known of it stays */
	const char *what;
};
void store_on_wrong(struct store *store,
		    void (*wrong)(void *context, const struct store_wrong *wrong), void *context);
void store_tell_wrong(const struct store *store, const struct store_wrong *wrong);

/* What became of a Service. */
enum store_state {
	STORE_PENDING,	  /* a change of it waits to be programmed */
	STORE_PROGRAMMED, /* the tables say what it says */
	STORE_FAILED,	  /* it could not be programmed; what was before is in force */
};

/* Everything known of one Service; valid until the store changes. */
struct store_service {
	const char *namespace_;
	const char *name;
	const struct service *service;	   /* NULL: deleted, or only slices known */
	const struct slice *const *slices; /* ordered by slice name */
	size_t n_slices;
	uint64_t received_ns; /* of the first change since it was last taken */
	/* Of slices that changed since; those of a family went with a removed slice. */
	const struct trigger *triggers;
	size_t n_triggers;
	enum store_state state;
	int64_t since;	     /* wall clock, in s: when it came into this state */
	const char *why;     /* it failed, else NULL */
	struct entry *entry; /* the store's own */
};

/*
 * Takes the next Service that changed since it was last taken (or since
 * store_touch_all()). Returns false when there is none.
 */
bool store_next_changed(struct store *store, struct store_service *ret);

/* Marks every Service as changed: the node or the configuration did. */
void store_touch_all(struct store *store);

/*
 * Keeps what came of programming a Service that store_next_changed() gave, to
 * be told before the store changes: it failed for the reason `why`, or, with
 * NULL, is programmed; `written` says that this changed the tables.
 */
void store_outcome(struct store *store, const struct store_service *service, const char *why,
		   bool written);

/* Services that failed. */
size_t store_failed(const struct store *store);

/* Marks up to `max` Services that failed as changed, each in its turn. */
void store_touch_failed(struct store *store, size_t max);

/* Finds a Service by name; false if there is no object of it. */
bool store_find(const struct store *store, const char *namespace_, const char *name,
		struct store_service *ret);

/* What is known under one name, for 0, 1, 2 ... in no order and none of it twice
 * as long as the store does not change; false at the end. */
bool store_at(const struct store *store, size_t index, struct store_service *ret);

/* Calls `each` for the Services in a state, in no order, until it returns false. */
void store_each_in(const struct store *store, enum store_state state,
		   bool (*each)(void *context, const struct store_service *service), void *context);

/* The node, or NULL. */
const struct node *store_node(const struct store *store);

/* Calls `each` for every prefix of every ServiceCIDR, ordered by their names. */
void store_each_service_cidr(const struct store *store,
			     void (*each)(void *context, const struct ip_prefix *prefix),
			     void *context);

/*
 * Goes up whenever the node or the ServiceCIDRs changed, which touches no
 * Service by itself: compare it with what it was.
 */
uint64_t store_node_version(const struct store *store);

/* What came, changed or went: ever, and not yet taken. */
struct store_changes {
	uint64_t services, services_pending; /* the latter: Services, however often */
	uint64_t slices, slices_pending;
};
const struct store_changes *store_changes(const struct store *store);

size_t store_count(const struct store *store, enum object_kind kind);

/* Calls `each` for every Service that has an object, ordered by namespace/name. */
void store_each(const struct store *store,
		void (*each)(void *context, const struct store_service *service), void *context);
