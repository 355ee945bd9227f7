/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/store/cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controlplane/store/equal.h"

void cluster_clear(struct cluster *cluster)
{
	node_free(cluster->node);
	for (size_t i = 0; i < cluster->n_cidrs; i++)
		service_cidr_free(cluster->cidrs[i].cidr);
	free(cluster->cidrs);
	*cluster = (struct cluster) { 0 };
}

int cluster_put_node(struct cluster *cluster, struct node *node, uint32_t round)
{
	const struct node *old = cluster->node;

	cluster->node_round = round;
	if (old && !strcmp(old->name, node->name) && node_equal(old, node)) {
		node_free(node);
		return 0;
	}
	node_free(cluster->node);
	cluster->node = node;
	cluster->version++;
	return 1;
}

/* Where the ServiceCIDR of this name is, or would be. */
static size_t position(const struct cluster *cluster, const char *name)
{
	size_t at = 0;

	while (at < cluster->n_cidrs && strcmp(cluster->cidrs[at].cidr->name, name) < 0)
		at++;
	return at;
}

static struct held_cidr *find(const struct cluster *cluster, const char *name)
{
	size_t at = position(cluster, name);

	return at < cluster->n_cidrs && !strcmp(cluster->cidrs[at].cidr->name, name)
		       ? &cluster->cidrs[at]
		       : NULL;
}

static int reserve(struct cluster *cluster)
{
	if (cluster->n_cidrs < cluster->cidrs_room)
		return 0;

	size_t room = cluster->cidrs_room ? cluster->cidrs_room * 2 : 2;
	struct held_cidr *cidrs = realloc(cluster->cidrs, room * sizeof(*cidrs));

	if (!cidrs)
		return -ENOMEM;
	cluster->cidrs = cidrs;
	cluster->cidrs_room = room;
	return 0;
}

int cluster_put_cidr(struct cluster *cluster, struct service_cidr *cidr_, uint32_t round)
{
	sl_auto(service_cidr) cidr = cidr_;
	struct held_cidr *held = find(cluster, cidr->name);

	if (held) {
		held->round = round;
		if (service_cidr_equal(held->cidr, cidr))
			return 0;
		service_cidr_free(held->cidr);
	} else {
		size_t at = position(cluster, cidr->name);

		if (reserve(cluster))
			return -ENOMEM;
		held = &cluster->cidrs[at];
		memmove(held + 1, held, (cluster->n_cidrs++ - at) * sizeof(*held));
		held->round = round;
	}
	held->cidr = sl_take(cidr);
	cluster->version++;
	return 1;
}

static void remove_node(struct cluster *cluster)
{
	node_free(cluster->node);
	cluster->node = NULL;
	cluster->version++;
}

static void remove_cidr(struct cluster *cluster, struct held_cidr *held)
{
	size_t at = (size_t)(held - cluster->cidrs);

	service_cidr_free(held->cidr);
	memmove(held, held + 1, (--cluster->n_cidrs - at) * sizeof(*held));
	cluster->version++;
}

int cluster_remove(struct cluster *cluster, enum object_kind kind, const char *name)
{
	struct held_cidr *held = find(cluster, name);

	if (kind == OBJECT_NODE && cluster->node && !strcmp(cluster->node->name, name)) {
		remove_node(cluster);
		return 1;
	}
	if (kind == OBJECT_SERVICE_CIDR && held) {
		remove_cidr(cluster, held);
		return 1;
	}
	return 0;
}

size_t cluster_sweep(struct cluster *cluster, enum object_kind kind, uint32_t round)
{
	size_t removed = 0;

	if (kind == OBJECT_NODE && cluster->node && cluster->node_round != round) {
		remove_node(cluster);
		removed++;
	}
	for (size_t i = cluster->n_cidrs; kind == OBJECT_SERVICE_CIDR && i > 0; i--) {
		if (cluster->cidrs[i - 1].round == round)
			continue;
		remove_cidr(cluster, &cluster->cidrs[i - 1]);
		removed++;
	}
	return removed;
}

uint32_t *cluster_round(struct cluster *cluster, enum object_kind kind, const char *name)
{
	struct held_cidr *held = find(cluster, name);

	if (kind == OBJECT_NODE)
		return cluster->node && !strcmp(cluster->node->name, name) ? &cluster->node_round
									   : NULL;
	return kind == OBJECT_SERVICE_CIDR && held ? &held->round : NULL;
}
