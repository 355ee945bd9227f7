/* SPDX-License-Identifier: Apache-2.0 */

/* kube-proxy's chains in the old iptables' tables. */

#include <errno.h>
#include <fcntl.h>
#include <libiptc/libip6tc.h>
#include <libiptc/libiptc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "common/mem.h"
#include "controlplane/takeover.h"
#include "tools/lbctl/migrate.h"

#define LOCK	    "/run/xtables.lock"
#define PATIENCE_MS 10000

/* The same library twice; entries are opaque here. */
struct family {
	const char *where, *names;
	struct xtc_handle *(*init)(const char *table);
	void (*free)(struct xtc_handle *handle);
	const char *(*first_chain)(struct xtc_handle *handle);
	const char *(*next_chain)(struct xtc_handle *handle);
	int (*builtin)(const char *chain, struct xtc_handle *const handle);
	int (*delete_rule)(const xt_chainlabel chain, unsigned int number,
			   struct xtc_handle *handle);
	int (*flush)(const xt_chainlabel chain, struct xtc_handle *handle);
	int (*delete_chain)(const xt_chainlabel chain, struct xtc_handle *handle);
	int (*commit)(struct xtc_handle *handle);
	const void *(*first_rule)(const char *chain, struct xtc_handle *handle);
	const void *(*next_rule)(const void *rule, struct xtc_handle *handle);
	const char *(*target)(const void *rule, struct xtc_handle *handle);
};

#define RULES_OF(iptc)                                                                             \
	static const void *iptc##_first(const char *chain, struct xtc_handle *handle)              \
	{                                                                                          \
		return iptc##_first_rule(chain, handle);                                           \
	}                                                                                          \
	static const void *iptc##_next(const void *rule, struct xtc_handle *handle)                \
	{                                                                                          \
		return iptc##_next_rule(rule, handle);                                             \
	}                                                                                          \
	static const char *iptc##_target(const void *rule, struct xtc_handle *handle)              \
	{                                                                                          \
		return iptc##_get_target(rule, handle);                                            \
	}

RULES_OF(iptc)
RULES_OF(ip6tc)

#define FAMILY(iptc)                                                                               \
	.init = iptc##_init, .free = iptc##_free, .first_chain = iptc##_first_chain,               \
	.next_chain = iptc##_next_chain, .builtin = iptc##_builtin,                                \
	.delete_rule = iptc##_delete_num_entry, .flush = iptc##_flush_entries,                     \
	.delete_chain = iptc##_delete_chain, .commit = iptc##_commit, .first_rule = iptc##_first,  \
	.next_rule = iptc##_next, .target = iptc##_target

static const struct family families[] = {
	{ "iptables-legacy", "/proc/thread-self/net/ip_tables_names", FAMILY(iptc) },
	{ "ip6tables-legacy", "/proc/thread-self/net/ip6_tables_names", FAMILY(ip6tc) },
};

/* The lock that the iptables programs take. -1 with errno set if it is not to be had. */
static int take_lock(void)
{
	sl_auto_fd int fd = open(LOCK, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);

	for (int waited = 0; fd >= 0; waited += 50) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return sl_take_fd(fd);
		if (errno != EWOULDBLOCK || waited >= PATIENCE_MS)
			break;
		poll(NULL, 0, 50);
	}
	return -1;
}

static int read_chains(const struct family *f, struct xtc_handle *handle, const char *table,
		       struct migrate_chains *ret)
{
	int r = 0;

	for (const char *name = f->first_chain(handle); name && !r; name = f->next_chain(handle))
		r = migrate_chains_add(ret, table, name, f->builtin(name, handle));
	for (size_t i = 0; i < ret->n_chains && !r; i++) {
		const char *name = ret->chains[i].name;
		const void *rule = f->first_rule(name, handle);

		for (uint64_t n = 1; rule && !r; rule = f->next_rule(rule, handle), n++)
			r = migrate_chains_rule(ret, table, name, f->target(rule, handle), n);
	}
	return r;
}

/* Jumps of the hooks from the last on, since they are named by their places. */
static int remove_chains(const struct family *f, struct xtc_handle *handle,
			 const struct migrate_chains *chains)
{
	bool changed = false;

	for (size_t i = chains->n_jumps; i-- > 0;) {
		const struct migrate_jump *jump = &chains->jumps[i];

		if (migrate_chains_unhooks(chains, jump) &&
		    !f->delete_rule(chains->chains[jump->from].name, (unsigned int)jump->rule - 1,
				    handle))
			return -errno;
	}
	for (size_t pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < chains->n_chains; i++) {
			if (chains->chains[i].fate != CHAIN_REMOVED)
				continue;
			changed = true;
			if (!(pass ? f->delete_chain : f->flush)(chains->chains[i].name, handle))
				return -errno;
		}
	return !changed || f->commit(handle) ? 0 : -errno;
}

static void look(struct migrate *migrate, const struct family *f, const char *table)
{
	struct migrate_chains chains;
	struct xtc_handle *handle;
	char where[64];
	int r;

	if (!takeover_has_table(f->names, table))
		return;
	r = migrate_chains_init(&chains);
	handle = r ? NULL : f->init(table);
	if (!r && !handle)
		r = -errno;
	if (!r)
		r = read_chains(f, handle, table, &chains);
	if (!r) {
		migrate_chains_decide(&chains);
		migrate_chains_report(&chains, migrate, f->where);
		if (migrate->remove)
			r = remove_chains(f, handle, &chains);
	}
	if (r) {
		snprintf(where, sizeof(where), "%s: table %s", f->where, table);
		migrate_failed(migrate, where, strerror(-r));
	}
	if (handle)
		f->free(handle);
	migrate_chains_done(&chains);
}

void migrate_iptables_legacy(struct migrate *migrate)
{
	static const char *const tables[] = { "nat", "filter", "mangle" };
	sl_auto_fd int lock = migrate->remove ? take_lock() : -1;

	if (migrate->remove && lock < 0) {
		migrate_failed(migrate, LOCK, strerror(errno));
		return;
	}
	for (size_t i = 0; i < SL_COUNT(families); i++)
		for (size_t k = 0; k < SL_COUNT(tables); k++)
			look(migrate, &families[i], tables[k]);
}
